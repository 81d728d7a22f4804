"""Warm start: servers forked from a process that has imported JupyterLab's server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.local import processes
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.spec import Cause, Kind, ReplicaState, Workload
from tests.doubles.hub import Hub, running_hub
from tests.engines.harness import (
    end_of,
    is_state,
    limits,
    local_bench,
    possible_modes,
    see,
    start,
    task,
    text_of,
)
from tests.engines.test_local_connect_filter import (
    PROGRAM,
    assert_refused,
    needs_filter,
    running_service,
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Give as much of a hub as a server asks for when it starts."""
    with running_hub() as found:
        yield found


def singleuser(hub: Hub) -> Workload:
    """Return a notebook server as the hub's spawner describes it."""
    return replace(
        task("server-1", ""),
        kind=Kind.SERVER,
        identity="user:alice",
        home="alice",
        command=("jupyterhub-singleuser", "--ServerApp.answer_yes=True"),
        limits=limits(memory_mb=2048),
        environment=hub.variables("http://127.0.0.1:{{port}}/user/alice/"),
    )


def asks(address: str | None) -> int:
    """Return the status of a call that needs no sign-in."""
    with urllib.request.urlopen(f"http://{address}/user/alice/api", timeout=20) as found:
        return int(found.status)


@pytest.mark.parametrize("mode", [mode for mode in possible_modes() if mode != "bare-root"])
async def test_a_server_from_the_template_is_like_any_other(
    tmp_path: Path, hub: Hub, mode: str
) -> None:
    async with local_bench(tmp_path, mode, {"warm_start": True}) as bench:
        async with asyncio.timeout(60):
            while not (await bench.local.facts())["warm"]:  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.1)
        handle = await start(bench.engine, singleuser(hub))
        found = await see(bench.engine, "server-1", is_state(ReplicaState.READY))
        assert asks(found.replicas[0].address) == 200
        home = bench.home / "local" / "homes" / "alice"
        keep_setting(found.replicas[0].address)
        kept = home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        assert [path.name for path in kept.iterdir()] == ["themes.jupyterlab-settings"]
        status = Status.read(bench.replica_folder("server-1"))
        assert status is not None
        assert status.shim is not None
        main = processes.descendants(status.shim.pid)[0]
        command, account, opened = facts_of(main)
        assert b"\0warm\0" in command
        assert account == (bench.home / "local" / "homes" / "alice").stat().st_uid
        if os.geteuid() == 0:
            assert account != 0
        # Nothing of the supervisor or the template is left open in it.
        assert not [path for path in opened if "/replicas/" in path and "/inside/" not in path]
        text = await text_of(bench.engine, handle)
        assert "Jupyter Server" in text
        await bench.engine.stop(handle)
        assert (await end_of(bench.engine, "server-1")).cause is Cause.STOPPED


@needs_filter
async def test_a_server_from_the_template_calls_no_replica_of_a_service(
    tmp_path: Path, hub: Hub
) -> None:
    # Its configuration is code that it runs itself: the intruder goes to work in it.
    configuration = {
        "jupyter_server_config.py": "import runpy; runpy.run_path(__file__.replace("
        "'jupyter_server_config', 'intruder'), run_name='__main__')",
        "intruder.py": PROGRAM.read_text(),
    }
    async with local_bench(tmp_path, possible_modes()[0], {"warm_start": True}) as bench:
        async with asyncio.timeout(60):
            while not (await bench.local.facts())["warm"]:  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.1)
        workload = singleuser(hub)
        environment = {
            **workload.environment,
            "JUPYTER_CONFIG_DIR": "{{inputs}}/0",
            "TARGET": await running_service(bench),
        }
        inputs = (bench.input("configuration", "models/1/1", configuration),)
        handle = await start(
            bench.engine, replace(workload, environment=environment, inputs=inputs)
        )
        await see(bench.engine, "server-1", is_state(ReplicaState.READY))
        text = await text_of(bench.engine, handle)
        assert_refused(next(line for line in text.splitlines() if line.startswith('{"plain"')))


def keep_setting(address: str | None) -> None:
    """Save a setting of JupyterLab, as its page does."""
    request = urllib.request.Request(
        f"http://{address}/user/alice/lab/api/settings/@jupyterlab/apputils-extension:themes",
        data=json.dumps({"raw": "{}"}).encode(),
        method="PUT",
        headers={"Authorization": "token alices", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=20).close()


def facts_of(pid: int) -> tuple[bytes, int, list[str]]:
    """Return the command line, the account and the open files of a process."""
    root = Path(f"/proc/{pid}")
    opened = []
    for path in (root / "fd").iterdir():
        # It reads files all the time.
        with contextlib.suppress(FileNotFoundError):
            opened.append(str(path.readlink()))
    return (root / "cmdline").read_bytes(), root.stat().st_uid, opened


async def test_while_the_template_is_not_ready_servers_start_cold(tmp_path: Path, hub: Hub) -> None:
    async with local_bench(tmp_path, possible_modes()[0], {"warm_start": True}) as bench:
        await start(bench.engine, singleuser(hub))
        found = await see(bench.engine, "server-1", is_state(ReplicaState.READY))
        assert asks(found.replicas[0].address) == 200
