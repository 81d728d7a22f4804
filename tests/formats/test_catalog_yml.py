"""The image catalog: names, aliases, one default, and mistakes told by their line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.formats.catalog_yml import (
    SHIPPED,
    Catalog,
    CatalogEntry,
    find_catalog,
    load_catalog,
    parse_catalog,
)

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
    return parse_catalog(text, path)


def entry(text: str, name: str) -> CatalogEntry:
    return next(e for e in parse(text).entries if e.name == name)


def test_an_entry_says_what_it_gives_and_bounds() -> None:
    base = entry(TWO, "base")
    assert (base.aliases, base.is_default) == (("python:3.11",), True)
    assert (base.default_resources.cpu, base.default_resources.memory) == (0.5, 512)
    assert base.max_resources is not None
    assert base.max_resources.gpu == 1
    assert base.max_resources.shm == base.max_resources.memory, "it counts as memory"
    assert (base.visibility, base.groups, base.variables) == ("preset", (), {})
    torch = entry(TWO, "torch")
    assert (torch.accelerator, torch.packages, torch.is_offline) == ("gpu", ("torch",), True)


def test_each_engine_sees_what_it_can_start() -> None:
    assert entry(TWO, "base").place("local", "1.2") == sys.prefix
    assert entry(TWO, "base").place("docker", "1.2") is None
    assert entry(TWO, "torch").place("local", "1.2") == "/home/envs/torch"
    remote = TWO.replace("environment: envs/torch", 'reference: "hub.example/torch:{version}"')
    assert entry(remote, "torch").place("local", "1.2") is None
    assert entry(remote, "torch").place("docker", "1.2") == "hub.example/torch:1.2"
    both = TWO.replace("    environment: envs/torch", "    environment: e\n    reference: torch:2")
    assert (
        entry(both, "torch").place("local", "1.2"),
        entry(both, "torch").place("docker", "1.2"),
    ) == (
        "/home/e",
        "torch:2",
    )


def test_groups_variables_and_a_page_to_read() -> None:
    text = TWO.replace(
        "    offline: true",
        "    groups: [vision]\n    visibility: public\n    variables: {OMP_NUM_THREADS: 4}\n"
        "    documentation: https://example.org/torch",
    )
    torch = entry(text, "torch")
    assert (torch.groups, torch.visibility) == (("vision",), "public")
    assert torch.variables == {"OMP_NUM_THREADS": "4"}
    assert torch.documentation == "https://example.org/torch"


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
        (TWO.replace("cpu: 8, ", ""), 8, "'cpu' is missing"),
        (TWO.replace("cpu: 8", "cpu: 0.25"), 8, "'cpu' is less here than in `default_resources`"),
        (TWO.replace("memory: 512", "memroy: 512"), 7, "did you mean 'memory'"),
        (TWO.replace("offline: true", "colour: red"), 15, "'colour' is not a key"),
        (TWO.replace("offline: true", "reference: a b"), 15, "no reference of an image"),
        (TWO.replace("offline: true", "documentation: javascript:x"), 15, "https://"),
        (TWO.replace("offline: true", "visibility: private"), 15, "one of preset, public"),
        (TWO.replace("offline: true", "variables: {A-B: 1}"), 15, "no name of a variable"),
        (TWO.replace("title: Base", 'title: " "'), 4, "empty"),
    ],
)
def test_mistakes_are_told_by_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert says in caught.value.message
    assert caught.value.message.startswith(f"images.yml, line {line}: ")


def test_an_installations_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    assert find_catalog(tmp_path) == SHIPPED
    (tmp_path / "images.yml").write_text(TWO)
    assert [e.name for e in load_catalog(find_catalog(tmp_path)).entries] == ["base", "torch"]
    assert find_catalog(tmp_path, "other.yml") == tmp_path / "other.yml"
    with pytest.raises(Invalid, match=r"other\.yml cannot be read: No such file"):
        load_catalog(find_catalog(tmp_path, "other.yml"))


def test_the_shipped_one_serves_every_engine() -> None:
    default = next(e for e in load_catalog(SHIPPED).entries if e.is_default)
    assert "python:3.11" in default.aliases
    assert default.place("local", "1.2") == sys.prefix
    assert default.place("docker", "1.2") == "kpl-lab/base:1.2"
