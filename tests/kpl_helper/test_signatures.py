"""Every call that the original clients accept is accepted by ours.

The description in ``tests/data`` was read from the published packages by `inspect`.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

STORED = json.loads(
    Path(__file__)
    .parents[1]
    .joinpath("data/kpl_helper_signatures.json")
    .read_text(encoding="utf-8")
)
CASES = [(version, name) for version, names in STORED.items() for name in names]
#: Where ours has a default that the contract asks for and the originals lacked.
OTHER_DEFAULTS = {("get_parameter", "default"): "./parameter.yml"}


def find(name: str) -> Any:
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_signature_is_kept(version: str, name: str) -> None:
    ours = list(inspect.signature(find(name)).parameters.values())
    original = STORED[version][name]
    short = name.rpartition(".")[2]
    for (key, kind, default), parameter in zip(original, ours, strict=False):
        assert (parameter.name, parameter.kind.name) == (key, kind)
        if default != "<required>":
            assert parameter.default == OTHER_DEFAULTS.get((short, key), default)
    assert len(ours) >= len(original)
    for extra in ours[len(original) :]:
        assert extra.kind is inspect.Parameter.KEYWORD_ONLY
        assert extra.default is not inspect.Parameter.empty


def test_answers_of_services_have_the_original_shape() -> None:
    from kpl_helper import deploy

    boxes = deploy.RectangleBoxObjectDetectionResponse(height=10, width=20, depth=3)
    boxes.add_object("dog", 1.9, 2, 3, 4, "0.5")  # type: ignore[arg-type]  # it converts, as the original
    assert boxes.dumps() == {
        "type": "rectangle_box_detection",
        "height": 10,
        "width": 20,
        "depth": 3,
        "objects": [{"name": "dog", "score": 0.5, "xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}],
        "error": "",
    }
    assert deploy.ClassificationResponse.dumps(1, 2, 3, 4) == {
        "type": "classification",
        "height": 1,
        "width": 2,
        "depth": 3,
        "class_id": 4,
        "class_name": None,
        "error": "",
    }
    assert deploy.SegmentationResponse.dumps(1, 2, 3, [[0]], error="no")["type"] == "segmentation"
    assert deploy.SegmentationResponse.dumps(1, 2, 3, [[0]], error="no")["error"] == "no"
