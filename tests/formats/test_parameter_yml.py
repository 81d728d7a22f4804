"""``parameter.yml``: the author's own mapping becomes defaults, a form and merged parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.formats.parameter_yml import (
    merge,
    parameter_schema,
    parse_parameters,
    read_parameters,
)

TEXT = """\
# How many times all data is seen.
epochs: 10
lr: 0.01        # step size
shuffle: true
name: 数字
layers: [64, 32]
optimizer:
  # which one
  kind: adam
  betas: [0.9, 1]
resume:
started: 2024-01-02
"""


def test_values_are_defaults_with_their_types() -> None:
    values = parse_parameters(TEXT)
    assert values["epochs"] == 10
    assert values["optimizer"] == {"kind": "adam", "betas": [0.9, 1]}
    assert values["resume"] is None
    assert values["started"] == "2024-01-02"


def test_the_form_has_types_defaults_groups_and_comments_as_help() -> None:
    schema = parameter_schema(TEXT)
    properties = schema["properties"]
    assert properties["epochs"] == {
        "type": "integer",
        "default": 10,
        "title": "epochs",
        "description": "How many times all data is seen.",
    }
    assert properties["lr"]["description"] == "step size"
    assert properties["lr"]["type"] == "number"
    assert properties["shuffle"]["type"] == "boolean"
    assert properties["layers"] == {
        "type": "array",
        "items": {"type": "integer"},
        "default": [64, 32],
        "title": "layers",
    }
    group = properties["optimizer"]
    assert group["type"] == "object"
    assert group["properties"]["kind"]["description"] == "which one"
    assert group["properties"]["betas"]["items"] == {"type": "number"}
    assert properties["resume"]["type"] == ["string", "null"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_has_no_parameters(text: str) -> None:
    assert parse_parameters(text) == {}
    assert parameter_schema(text) == {"type": "object", "properties": {}}


def test_no_file_means_no_parameters(tmp_path: Path) -> None:
    assert read_parameters(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [("- a\n", "must be a mapping"), ("a: 1\na: 2\n", "stands twice"), ("a: [\n", "not YAML")],
)
def test_what_is_no_mapping_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        parse_parameters(text)
    assert caught.value.detail["file"] == "parameter.yml"


def test_given_values_replace_defaults_nested_or_dotted() -> None:
    defaults = parse_parameters(TEXT)
    merged = merge(defaults, {"optimizer": {"kind": "sgd"}, "lr": 1, "optimizer.betas": [0.5]})
    assert merged["optimizer"] == {"kind": "sgd", "betas": [0.5]}
    assert merged["lr"] == 1.0
    assert merged["epochs"] == 10
    assert defaults["optimizer"]["kind"] == "adam"


@pytest.mark.parametrize(
    ("given", "key", "says"),
    [
        ({"epoch": 1}, "epoch", "no such parameter"),
        ({"epochs": "many"}, "epochs", "type integer"),
        ({"shuffle": 1}, "shuffle", "type boolean"),
        ({"optimizer.kindd": "x"}, "optimizer.kindd", "no such parameter"),
        ({"optimizer": {"kindd": "x"}}, "optimizer.kindd", "no such parameter"),
        ({"adam.kind": "x"}, "adam.kind", "no group 'adam'"),
        ({"layers": 3}, "layers", "type array"),
        ({"optimizer": 3}, "optimizer", "type object"),
    ],
)
def test_a_bad_parameter_is_told_by_its_name(given: dict[str, object], key: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        merge(parse_parameters(TEXT), given)
    assert caught.value.code == "bad_parameter"
    assert caught.value.detail["key"] == key


def test_a_whole_default_may_become_a_decimal_and_the_other_way_round() -> None:
    assert merge({"weight": 1}, {"weight": 0.5}) == {"weight": 0.5}
    assert merge({"weight": 0.5}, {"weight": 1}) == {"weight": 1.0}
    assert merge({"epochs": 10}, {"epochs": 5.0}) == {"epochs": 5}
