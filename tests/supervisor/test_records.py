"""A process is known by pid, start time and boot, never by pid alone."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.settings import Home
from kpl_lab.supervisor import records


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.run.mkdir()
    return home


def test_a_living_process_is_found_again(home: Home) -> None:
    records.write(home, records.record_of("hub", os.getpid(), plan="p"))
    found = records.read(home, "hub")
    assert (found.state, found.pid, found.plan) == ("running", os.getpid(), "p")


def test_a_process_that_has_ended_is_stopped(home: Home) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    records.write(home, records.record_of("hub", child.pid, plan="p"))
    child.communicate()
    found = records.read(home, "hub")
    assert (found.state, found.pid, found.identity) == ("stopped", None, None)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot": "another boot"}])
def test_another_process_of_the_same_number_is_not_ours(home: Home, change: dict[str, Any]) -> None:
    records.write(home, replace(records.record_of("hub", os.getpid(), plan="p"), **change))
    assert records.read(home, "hub").identity is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "hub", "surprise": 1}'])
def test_an_unreadable_record_counts_as_none(home: Home, content: str) -> None:
    records.path_of(home, "hub").write_text(content)
    assert records.read(home, "hub").state == "stopped"
