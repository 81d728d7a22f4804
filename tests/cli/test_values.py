"""Values of options, as people type them."""

from __future__ import annotations

import pytest

from kpl_lab.cli.values import parse_tagged
from kpl_lab.errors import Invalid


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("vision", "vision"),
        ("vision:latest", "vision"),
        ("vision:1.0", "vision-1.0"),
        ("视觉:2", "视觉-2"),
    ],
)
def test_the_name_of_an_image_may_have_a_tag_as_docker_takes_it(typed: str, name: str) -> None:
    assert parse_tagged(typed) == name


@pytest.mark.parametrize("typed", ["", ":1", "registry.example/team/vision:1", "a:b:c"])
def test_what_is_no_name_is_refused_in_words(typed: str) -> None:
    with pytest.raises(Invalid):
        parse_tagged(typed)
