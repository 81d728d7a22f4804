"""What of a folder is not sent is told, on stderr alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Kpl

TOLD = "Note: .kplignore leaves out 2 of digits: data/, secret.key.\n"


@pytest.mark.parametrize(
    "command",
    [
        ("task", "submit", "--code"),
        ("algorithm", "publish", "--no-wait"),
        ("dataset", "create", "things", "--no-wait", "--from"),
    ],
    ids=" ".join,
)
def test_what_kplignore_leaves_out_is_told(kpl_: Kpl, code: Path, command: tuple[str, ...]) -> None:
    for name in ("data/big.bin", "secret.key"):
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).write_text("x")
    (code / ".kplignore").write_text("data\n*.key\n")
    said = kpl_(*command, str(code))
    assert (said.code, said.err.count(TOLD)) == (0, 1)
    assert TOLD not in said.out
    told_machines = kpl_(*command, str(code), "--json")
    assert told_machines.err == ""
    assert json.loads(told_machines.out)
