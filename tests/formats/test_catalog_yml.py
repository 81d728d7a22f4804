"""The image catalog: names, aliases, one default, and mistakes told by their line."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.formats.catalog_yml import SHIPPED, Catalog, load_catalog, parse_catalog

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TWO = """\
version: 1
images:
  - name: base
    title: Base
    aliases: ["python:3.11"]
    default: true
    default_resources: {cpu: 0.5, memory: 512}
    max_resources: {cpu: 8, memory: 16384, gpu: 1}
  - name: torch
    title: PyTorch
    framework: PyTorch
    accelerator: gpu
    environment: envs/torch
    packages: [torch]
    offline: true
"""


def parse(text: str, path: Path = Path("/home/images.yml")) -> Catalog:
    return parse_catalog(text, path, NOW)


def test_entries_are_found_by_name_and_alias() -> None:
    catalog = parse(TWO)
    assert catalog.default.name == "base"
    assert catalog.get("python:3.11").name == "base"
    assert catalog.find("nothing") is None
    base = catalog.get("base")
    assert (base.default_resources.cpu, base.default_resources.memory) == (0.5, 512)
    assert base.max_resources is not None
    assert base.max_resources.gpu == 1
    assert base.prefix == Path(sys.prefix)
    assert catalog.changed_at == NOW


def test_environments_are_relative_to_the_file() -> None:
    torch = parse(TWO).find("torch")
    assert torch is not None
    assert torch.prefix == Path("/home/envs/torch")
    assert (torch.accelerator, torch.packages) == ("gpu", ("torch",))


@pytest.mark.parametrize(
    ("reference", "code", "says"),
    [("nothing", "unknown_image", "it has: base, torch"), ("torch", "image_offline", "offline")],
)
def test_what_cannot_be_had_is_told(reference: str, code: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        parse(TWO).get(reference)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "empty"),
        ("images: []\n", 1, "`version: 1` is missing"),
        ("version: 1\nimages: []\n", 1, "at least one image"),
        (TWO.replace("title: Base", "titel: Base"), 4, "did you mean 'title'"),
        (TWO.replace("    title: Base\n", ""), 3, "'title' is missing"),
        (TWO.replace("name: torch", "name: base"), 9, "names two images"),
        (TWO.replace("name: torch", 'name: "python:3.11"'), 9, "names two images"),
        (TWO.replace("    default: true\n", ""), 3, "exactly one image"),
        (TWO.replace("offline: true", "default: true"), 3, "exactly one image"),
        (TWO.replace("offline: true", "offline: maybe"), 15, "true or false"),
        (TWO.replace("accelerator: gpu", "accelerator: tpu"), 12, "one of cpu, gpu"),
        (TWO.replace("memory: 512", "memory: 1"), 7, "memory"),
        (TWO.replace("memory: 512", "memroy: 512"), 7, "did you mean 'memory'"),
        (TWO.replace("offline: true", "colour: red"), 15, "'colour' is not a key"),
    ],
)
def test_mistakes_are_told_by_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert says in caught.value.message
    assert caught.value.message.startswith(f"images.yml, line {line}: ")


def test_an_installations_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    assert load_catalog(tmp_path) == load_catalog()
    (tmp_path / "images.yml").write_text(TWO)
    assert [e.name for e in load_catalog(tmp_path).entries] == ["base", "torch"]
    (tmp_path / "images.yml").write_text(TWO.replace("name: torch", "name: pytorch"))
    assert [e.name for e in load_catalog(tmp_path).entries] == ["base", "pytorch"]


def test_the_shipped_one_knows_the_usual_base() -> None:
    assert SHIPPED.is_file()
    assert load_catalog().get("python:3.11").is_default
