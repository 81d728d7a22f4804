"""`make up` says at once what minutes of installing could not mend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("tools/bootstrap.py", "kpl_lab/__init__.py", "kpl_lab/engines/__init__.py")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root runs workloads under other accounts, and setpriv drops its capabilities",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "closed" / "lab"
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "kpl_lab/engines/local", folder / "kpl_lab/engines/local")
    (tmp_path / "closed").chmod(0o700)
    return folder


def test_a_closed_folder_is_named_before_anything_is_installed(checkout: Path) -> None:
    done = subprocess.run(
        [
            *("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"),
            *(sys.executable, "tools/bootstrap.py", "--", "kpl-lab", "up"),
        ],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "is closed to other accounts" in done.stderr
    assert "chmod o+x /" in done.stderr
    assert not (checkout / ".venv").exists()
