"""What the platform says is known to JupyterLab, which shows it in the user's language."""

from __future__ import annotations

import json

import pytest

from kpl_lab.platform.domain.faults import FAULTS, Fault
from tests.installation import ROOT
from tools import sentences

CATALOGUE = ROOT / "kpl_lab" / "locale" / "zh_CN" / "LC_MESSAGES" / "kpl_lab.json"
HOW = "run `python tools/sentences.py`, then give kpl_lab/locale its Chinese"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.code))
def test_cause_and_remedy_of_every_fault_are_translated(fault: Fault) -> None:
    known = set(json.loads(sentences.FILE.read_text()))
    chinese = json.loads(CATALOGUE.read_text())
    for text in sentences.of_fault(fault):
        assert text in known, HOW
        assert f"platform\x04{text}" in chinese, HOW


def test_errors_are_found_with_places_for_their_values() -> None:
    found = set(sentences.of_errors())
    assert (
        "The {noun} {name} belongs to {owner}; only they or an administrator can change it."
        in found
    )
    assert "The catalog holds no image that can be used; ask an administrator." in found
    assert not [text for text in found if "!r" in text or "\n" in text]
