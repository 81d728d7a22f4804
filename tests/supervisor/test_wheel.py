"""The wheel that goes into images: built from a checkout, or packed from an installation."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kpl_lab.errors import EngineError
from kpl_lab.supervisor.wheel import content_digest, make_wheel, pack_installed

STEM = "kpl_lab-0.1.0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the checkout's own."""
    return make_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it somewhere."""
    folder = tmp_path_factory.mktemp("prefix")
    install(wheel, folder)
    return folder


def install(wheel: Path, prefix: Path) -> None:
    words = ["install", "-q", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run(
        [sys.executable, "-m", "pip", *words, "--prefix", str(prefix), str(wheel)], check=True
    )


def installed(prefix: Path) -> importlib.metadata.Distribution:
    (place,) = prefix.glob("lib*/python*/site-packages/*.dist-info")
    return importlib.metadata.Distribution.at(place)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("/RECORD")}


def changed(wheel: Path, folder: Path, name: str, data: bytes) -> Path:
    """Return a copy in which one file is another."""
    target = folder / wheel.name
    with zipfile.ZipFile(target, "w") as file:
        for one, old in (contents(wheel) | {name: data}).items():
            file.writestr(one, data if one == name else old)
    return target


def test_a_checkout_gives_clients_commands_and_the_recipe_of_the_base_image(wheel: Path) -> None:
    found = contents(wheel)
    assert {"kpl_lab/__init__.py", "kpl_helper/__init__.py", "kpl_dataset/__init__.py"} <= set(
        found
    )
    assert f"{STEM}.data/data/share/kpl-lab/images/base/Dockerfile" in found
    assert b"kpl = kpl_lab.cli.kpl:main" in found[f"{STEM}.dist-info/entry_points.txt"]


def test_an_installation_gives_the_wheel_that_it_was_installed_from(
    wheel: Path, prefix: Path, tmp_path: Path
) -> None:
    again = pack_installed(installed(prefix), prefix, tmp_path)
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)
    assert content_digest(again) == content_digest(wheel)


def test_pip_installs_what_was_packed(prefix: Path, tmp_path: Path) -> None:
    again = pack_installed(installed(prefix), prefix, tmp_path)
    install(again, tmp_path / "second")
    files = {f.as_posix() for f in installed(tmp_path / "second").files or ()}
    assert files == {f.as_posix() for f in installed(prefix).files or ()}
    assert (tmp_path / "second" / "bin" / "kpl").exists()


def test_an_incomplete_installation_is_refused(wheel: Path, tmp_path: Path) -> None:
    install(wheel, tmp_path / "broken")
    (gone,) = (tmp_path / "broken").glob("lib*/python*/site-packages/kpl_lab/errors.py")
    gone.unlink()
    with pytest.raises(EngineError, match=r"incomplete .*errors\.py.*install it again"):
        pack_installed(installed(tmp_path / "broken"), tmp_path / "broken", tmp_path)


def test_the_name_of_the_content_follows_the_program(wheel: Path, tmp_path: Path) -> None:
    other = changed(wheel, tmp_path, "kpl_lab/errors.py", b"# changed\n")
    assert content_digest(other) != content_digest(wheel)


@pytest.mark.parametrize("name", ["kpl_dataset/_decoder.abi3.so", f"{STEM}.dist-info/WHEEL"])
def test_the_name_of_the_content_follows_neither_compiler_nor_machine(
    name: str, wheel: Path, tmp_path: Path
) -> None:
    assert content_digest(changed(wheel, tmp_path, name, b"other")) == content_digest(wheel)


def test_the_name_of_the_content_does_not_follow_the_readme(wheel: Path, tmp_path: Path) -> None:
    name = f"{STEM}.dist-info/METADATA"
    other = contents(wheel)[name] + b"One more sentence.\n"
    assert content_digest(changed(wheel, tmp_path, name, other)) == content_digest(wheel)
