"""What the lock files pin installs on every Python that ``pyproject.toml`` admits."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]


def oldest_python() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.fullmatch(r">=(\d+\.\d+)", project["requires-python"])
    assert found
    return f"{found[1]}.0"


def pins() -> list[Requirement]:
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if re.match(r"[A-Za-z]", line)]


def applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate()


@pytest.mark.parametrize(
    "pin", [pin for pin in pins() if applies(pin.marker)], ids=lambda pin: pin.name
)
def test_a_pin_installs_on_the_oldest_python(pin: Requirement) -> None:
    requires = distribution(pin.name).metadata["Requires-Python"] or ""

    assert SpecifierSet(requires).contains(oldest_python()), f"bound {pin.name} in constraints.in"
