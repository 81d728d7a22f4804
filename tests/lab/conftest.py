from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

# By name and not as a plugin: its hooks would take coroutine tests away from pytest-asyncio.
from pytest_jupyter.jupyter_core import (
    echo_kernel_spec,
    jp_config_dir,
    jp_data_dir,
    jp_env_config_path,
    jp_env_jupyter_path,
    jp_environ,
    jp_home_dir,
    jp_kernel_dir,
    jp_runtime_dir,
    jp_system_config_path,
    jp_system_jupyter_path,
)
from pytest_jupyter.jupyter_server import (
    jp_argv,
    jp_auth_header,
    jp_base_url,
    jp_configurable_serverapp,
    jp_fetch,
    jp_http_port,
    jp_logging_stream,
    jp_nbconvert_templates,
    jp_root_dir,
    jp_web_app,
)
from pytest_jupyter.pytest_tornasync import http_server, http_server_client, http_server_port

from tests.doubles.platform import TOKEN, Platform
from tests.doubles.server import Server, running

__all__ = [
    "echo_kernel_spec",
    "http_server",
    "http_server_client",
    "http_server_port",
    "jp_argv",
    "jp_auth_header",
    "jp_base_url",
    "jp_config_dir",
    "jp_configurable_serverapp",
    "jp_data_dir",
    "jp_env_config_path",
    "jp_env_jupyter_path",
    "jp_environ",
    "jp_fetch",
    "jp_home_dir",
    "jp_http_port",
    "jp_kernel_dir",
    "jp_logging_stream",
    "jp_nbconvert_templates",
    "jp_root_dir",
    "jp_runtime_dir",
    "jp_system_config_path",
    "jp_system_jupyter_path",
    "jp_web_app",
]


@pytest.fixture
async def jp_asyncio_loop() -> asyncio.AbstractEventLoop:
    """Let the server live in the loop that runs the tests."""
    return asyncio.get_running_loop()


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Iterator[Server]:
    with running(platform) as server:
        yield server


@pytest.fixture
def jp_server_config(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, Any]:
    """A server as the hub starts it: it knows the platform, and lets no stranger in."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setenv("KPL_API_URL", f"{server.url}/kpl/api/v1")
    monkeypatch.setenv("MEM_LIMIT", str(512 * 1024 * 1024))
    monkeypatch.setenv("CPU_LIMIT", "1.5")
    return {
        "ServerApp": {
            "jpserver_extensions": {"kpl_lab": True},
            "allow_unauthenticated_access": False,
        }
    }


@pytest.fixture
async def jp_serverapp(
    jp_server_config: dict[str, Any], jp_argv: list[str], jp_configurable_serverapp: Any
) -> AsyncIterator[Any]:
    """A server that is ended as Jupyter ends it."""
    app = jp_configurable_serverapp(config=jp_server_config, argv=jp_argv)
    yield app
    await app.cleanup_extensions()
    # Else whichever thread collects garbage closes it, and SQLite refuses that to all but ours.
    app.session_manager.close()


@pytest.fixture
def code(jp_root_dir: Path) -> Path:
    """A code folder in the home."""
    folder = jp_root_dir / "projects" / "digits"
    folder.mkdir(parents=True)
    (folder / "environment.yml").write_text(
        "version: 1\nimage: {from_image: 'python:3.11'}\ntrain: {cmd: python3 train.py}\n"
    )
    (folder / "parameter.yml").write_text("# how fast\nrate: 0.1\n")
    (folder / "train.py").write_text("print('hello')\n")
    return folder
