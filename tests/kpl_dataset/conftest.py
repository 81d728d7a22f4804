"""The golden data, and the two ways of reading."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import native

GOLDEN = Path(__file__).parents[1] / "data" / "kpl-dataset-v1"
EXPECTED: dict[str, dict[str, Any]] = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


@pytest.fixture(params=sorted(EXPECTED))
def golden(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    """Each golden dataset: its folder, and what the original reader returned for it."""
    return GOLDEN / request.param, EXPECTED[request.param]


@pytest.fixture
def golden_root() -> Path:
    """The folder of all golden datasets."""
    return GOLDEN


def _digest(value: object) -> object:
    if isinstance(value, bytes):
        return {"$bytes_sha256": hashlib.sha256(value).hexdigest(), "len": len(value)}
    if isinstance(value, dict):
        return {key: _digest(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_digest(item) for item in value]
    return value


@pytest.fixture
def digest() -> Any:
    """A function that turns bytes into what ``expected.json`` holds for them."""
    return _digest


@pytest.fixture(params=["compiled", "pure"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test by the compiled decoder (where it was built), and by the plain Python one."""
    if request.param == "pure":
        monkeypatch.setattr(native, "available", False)
    elif not native.available:
        pytest.skip("the compiled decoder was not built")
    return str(request.param)
