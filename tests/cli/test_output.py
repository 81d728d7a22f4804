"""How answers are put into words for people."""

from __future__ import annotations

import pytest

from kpl_lab.cli.output import remedy_text
from kpl_lab.schemas.common import Remedy


@pytest.mark.parametrize(
    ("who", "usual_duration", "beside"),
    [
        ("user", None, ""),
        ("user", "a minute", " (a minute)"),
        ("admin", "hours", " (an administrator; hours)"),
        ("platform", None, " (the platform itself)"),
    ],
)
def test_what_to_do_says_who_can_do_it_and_how_long_it_takes(
    who: str, usual_duration: str | None, beside: str
) -> None:
    remedy = Remedy(code="x", cause="C.", who=who, action="Do it.", usual_duration=usual_duration)
    assert remedy_text(remedy) == f"Do it.{beside}"


def test_without_a_failure_there_is_nothing_to_do() -> None:
    assert remedy_text(None) == "-"
