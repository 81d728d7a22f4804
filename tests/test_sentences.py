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


def test_what_a_cluster_says_is_known_with_the_places_of_its_parts() -> None:
    found = {*sentences.of_errors(), *sentences.of_clusters()}
    for text in (
        "The node {node} is pulling the image {image}.",
        "The registry has no image {image}; check its name and tag. The answer was: {answer}",
        "The image has no command {command}; correct the command, or use an image that has it.",
        "A policy of the cluster ({policy}) refused {what}: {said} Change what was asked for as it says, or ask "
        "an administrator of the cluster.",
        "too few GPUs free: {what}",
    ):
        assert text in found


def test_the_sentences_that_jupyterlab_has_are_those_of_the_sources() -> None:
    assert json.loads(sentences.FILE.read_text()) == sentences.sentences(), HOW
