"""What the local engine finds in an environment."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from kpl_lab.engines.local.images import facts_of
from kpl_lab.errors import EngineError


def environment(folder: Path, version: str = "9.9") -> Path:
    """Make a folder that looks like an environment of Python 3.12 with one distribution."""
    info = folder / "lib" / "python3.12" / "site-packages" / "Scikit_Learn.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: Scikit_Learn\nVersion: {version}\n"
    (info / "METADATA").write_text(text)
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/true", folder / "bin" / "python")
    return folder


def test_its_python_and_what_is_installed(tmp_path: Path) -> None:
    found = facts_of(environment(tmp_path))
    assert found.packages == {"python": "3.12", "scikit-learn": "9.9"}
    assert found.architecture


def test_the_digest_names_what_is_installed(tmp_path: Path) -> None:
    first = facts_of(environment(tmp_path)).digest
    assert facts_of(environment(tmp_path)).digest == first
    assert facts_of(environment(tmp_path, "10.0")).digest != first


def test_the_environment_of_this_program_serves_notebooks() -> None:
    found = facts_of(Path(sys.prefix))
    assert {"python", "jupyterlab", "kpl-lab"} <= set(found.packages)


@pytest.mark.parametrize("folder", ["/nothing/here", "relative", "/etc"])
def test_what_is_no_environment_is_told(folder: str) -> None:
    with pytest.raises(EngineError, match="does not exist") as caught:
        facts_of(Path(folder))
    assert caught.value.code == "image_missing"
