from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kpl_lab.cli import kpl
from kpl_lab.client import credentials
from kpl_lab.client.credentials import Credentials, save_credentials
from tests.doubles.platform import TOKEN, Platform
from tests.doubles.server import Server, running
from tests.said import Said

Kpl = Callable[..., Said]


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Iterator[Server]:
    with running(platform) as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own without a token, and a working folder of its own.

    ``make up`` may have been run in this checkout; its installation is none of these tests'.
    """
    home = tmp_path / "home"
    home.mkdir()
    for name in ("JUPYTERHUB_API_TOKEN", "KPL_API_URL", "KPL_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(credentials, "CHECKOUT", None)
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def kpl_alone(capfd: pytest.CaptureFixture[str]) -> Kpl:
    """Runs ``kpl`` as it is found, signed in or not."""

    def run(*arguments: str) -> Said:
        capfd.readouterr()
        code = kpl.run(arguments)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def kpl_(kpl_alone: Kpl, server: Server, home: Path) -> Kpl:
    """Runs ``kpl`` signed in at the double."""
    kept = Credentials(server.url, TOKEN, username="ada")
    save_credentials(home / ".kpl/credentials.json", kept)
    return kpl_alone


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A code folder."""
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "environment.yml").write_text("version: 1\n")
    (folder / "train.py").write_text("print('hello')\n")
    return folder
