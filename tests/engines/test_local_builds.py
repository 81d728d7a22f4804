"""Environments that the local engine builds, and the relay beside a task."""

from __future__ import annotations

import base64
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kpl_lab.engines.local import processes
from kpl_lab.engines.spec import Cause, Handle, RelayTarget, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.harness import (
    LocalBench,
    end_of,
    is_state,
    limits,
    local_bench,
    possible_modes,
    see,
    start,
    task,
    text_of,
    until,
)

# A wheel made on the spot: installing it needs no registry.
WHEEL = """
import zipfile
name, version = "kpl_helper", "99.1"
info = f"{name}-{version}.dist-info/"
with zipfile.ZipFile(f"{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("kpl_helper/__init__.py", "WHO = 'the original'")
    wheel.writestr("kpl_helper/cli.py", "def main(): print('its own command')")
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\\nName: kpl-helper\\nVersion: {version}\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nkhelper = kpl_helper.cli:main\\n")
    wheel.writestr(info + "RECORD", "")
"""


async def build(bench: LocalBench, *runs: str, name: str = "build-1", digest: str = "d1") -> Handle:
    """Build, and wait for the end."""
    found = [h async for h in bench.engine.build(name, bench.recipe(*runs, digest=digest))]
    await end_of(bench.engine, name)
    return found[-1]


async def test_what_the_lines_install_comes_before_what_the_base_has(bench: LocalBench) -> None:
    runs = (
        f"echo {base64.b64encode(WHEEL.encode()).decode()} | base64 -d | python",
        "pip install --no-index --find-links . kpl-helper==99.1",
    )
    handle = await build(bench, *runs)
    log = await text_of(bench.engine, handle)
    image = await bench.engine.find_image("d1")
    assert image is not None, log
    assert "1/2: echo" in log
    assert (Path(image) / "lock.txt").read_text().startswith("kpl-helper==99.1")
    line = 'python -c "import kpl_helper, yaml, sys; print(kpl_helper.WHO, sys.prefix)"; khelper'
    run = await start(bench.engine, task("t", line, image=image))
    assert (await end_of(bench.engine, "t")).exit_code == 0
    assert (await text_of(bench.engine, run)).splitlines() == [
        f"the original {image}",
        "its own command",
    ]


def facts_of(folder: Path) -> tuple[set[int], list[Path], set[str]]:
    """Return who owns what is in a folder, what of it can be written, and all names."""
    found = list(folder.rglob("*"))
    writable = [p for p in found if not p.is_symlink() and p.stat().st_mode & 0o222]
    return {p.lstat().st_uid for p in found}, writable, {p.name for p in found}


async def test_a_finished_environment_cannot_be_changed_by_those_who_use_it(
    bench: LocalBench,
) -> None:
    await build(bench, "true")
    image = await bench.engine.find_image("d1")
    assert image is not None
    line = 'touch "$VIRTUAL_ENV/bin/evil" "$VIRTUAL_ENV/lib/evil"; echo >>"$VIRTUAL_ENV/lock.txt"'
    await start(bench.engine, task("t", line, image=image))
    assert (await end_of(bench.engine, "t")).exit_code != 0
    owners, writable, names = facts_of(Path(image))
    assert "evil" not in names
    if not bench.is_ordinary:
        assert owners == {0}
    assert writable == []


async def test_environments_can_stand_on_each_other(root_bench: LocalBench) -> None:
    bench = root_bench
    runs = (
        f"echo {base64.b64encode(WHEEL.encode()).decode()} | base64 -d | python",
        "pip install --no-index --find-links . kpl-helper==99.1",
    )
    await build(bench, *runs)
    first = await bench.engine.find_image("d1")
    assert first is not None
    recipe = bench.recipe("python -c 'import kpl_helper; print(kpl_helper.WHO)'", digest="d2")
    recipe = type(recipe)(**{**recipe.__dict__, "base": first})
    handles = [h async for h in bench.engine.build("build-2", recipe)]
    await end_of(bench.engine, "build-2")
    assert "the original" in await text_of(bench.engine, handles[-1])
    second = await bench.engine.find_image("d2")
    assert second is not None
    await start(bench.engine, task("t", "python -c 'import kpl_helper, yaml'", image=second))
    assert (await end_of(bench.engine, "t")).exit_code == 0


async def test_a_failed_line_ends_the_build_and_leaves_nothing_usable(bench: LocalBench) -> None:
    handle = await build(bench, "echo one", "echo two; exit 5", "echo three")
    end = await end_of(bench.engine, "build-1")
    assert end.exit_code == 1
    log = await text_of(bench.engine, handle)
    assert "line 2 of image.runs ended with exit code 5" in log
    assert "three\n" not in log
    assert await bench.engine.find_image("d1") is None
    assert list((bench.home / "local" / "environments").iterdir()) == []
    await bench.engine.delete(handle)
    await build(bench, "true", name="build-2")
    assert await bench.engine.find_image("d1")


async def test_a_build_that_is_killed_leaves_nothing_usable(bench: LocalBench) -> None:
    recipe = bench.recipe("echo up; sleep 600", digest="d1")
    handle = [h async for h in bench.engine.build("build-1", recipe)][-1]
    await see(bench.engine, "build-1", is_state(ReplicaState.RUNNING))
    with pytest.raises(EngineError) as refused:
        [h async for h in bench.engine.build("build-2", recipe)]
    assert refused.value.code == "build_running"
    await bench.engine.delete(handle)
    assert await bench.engine.find_image("d1") is None
    assert list((bench.home / "local" / "environments").iterdir()) == []


def stat_of(image: str) -> tuple[int, int]:
    """Return what changes when an environment is made anew."""
    found = Path(image, "lock.txt").stat()
    return found.st_ino, found.st_mtime_ns


async def test_a_build_that_is_there_is_not_made_again(bench: LocalBench) -> None:
    handle = await build(bench, "true")
    image = await bench.engine.find_image("d1")
    assert image is not None
    before = stat_of(image)
    await bench.engine.delete(handle)
    again = await build(bench, "true", name="build-2")
    assert "there already" in await text_of(bench.engine, again)
    assert stat_of(image) == before


async def test_pips_configuration_reaches_builds_and_secrets_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "home" / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text("[global]\nfind-links = /somewhere/else\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_TRUSTED_HOST", "mirror.test")
    monkeypatch.setenv("KPL_LAB_SECRET", "s3cret")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    async with local_bench(tmp_path, possible_modes()[0]) as bench:
        handle = await build(bench, "python -m pip config list; env; cat pip.conf || true")
        log = await text_of(bench.engine, handle)
    assert "/somewhere/else" in log
    assert "PIP_TRUSTED_HOST=mirror.test" in log
    assert "s3cret" not in log


@contextmanager
def platform() -> Iterator[tuple[str, list[tuple[str, dict[str, object]]]]]:
    """Give the address of something that takes what relays forward, and what it has taken."""
    taken: list[tuple[str, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken.append((self.path, body))
            answer = b'{"code": "Success", "msg": "", "data": null}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_address[1]}/kpl/runtime", taken
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


REPORT = """
import json, os, urllib.request
body = json.dumps({"task_id": 7, "type": "progress", "name": "", "value": 0.5}).encode()
request = urllib.request.Request(
    os.environ["RELAY"] + "/task/attribute/update", body, {"Authorization": "jwt"})
print(urllib.request.urlopen(request).read().decode())
"""


async def test_what_a_task_reports_reaches_the_platform_before_its_end_is_told(
    bench: LocalBench,
) -> None:
    code = bench.folder("code/a", {"report.py": REPORT})
    with platform() as (url, taken):
        target = RelayTarget(url=url, token="jwt", metric_token="word", task_id=7)
        workload = task(
            "t",
            "python report.py",
            code=str(code),
            relay=target,
            environment={"RELAY": "{{relay}}"},
        )
        handle = await start(bench.engine, workload)
        assert (await end_of(bench.engine, "t")).cause is Cause.EXIT
        assert "Success" in await text_of(bench.engine, handle)
        assert [path for path, _ in taken] == ["/kpl/runtime/task/attribute/update"]
        await until(lambda: not bench.marked(), 5)


async def test_a_relay_that_dies_is_replaced_at_the_same_address(bench: LocalBench) -> None:
    line = (
        "import os, signal, time, urllib.request\n"
        "def well():\n"
        "  return urllib.request.urlopen(os.environ['RELAY'] + '/healthz', timeout=30).status\n"
        "print(well(), flush=True); open('first', 'w').close()\n"
        "while not os.path.exists('go'): time.sleep(0.05)\n"
        "print(well(), flush=True)\n"
    )
    with platform() as (url, _):
        target = RelayTarget(url=url, token="jwt", metric_token="word", task_id=7)
        workload = task(
            "t", "", command=(sys.executable, "-c", line), relay=target,
            limits=limits(), environment={"RELAY": "{{relay}}"},
        )  # fmt: skip
        handle = await start(bench.engine, workload)
        inside = bench.replica_folder("t") / "inside" / "work"
        await until((inside / "first").exists)
        mark = f"{processes.MARK}={bench.settings.instance}/t/0:relay"
        relays = processes.pids_with_variable(mark)
        assert len(relays) == 1
        processes.send(relays, signal.SIGKILL)
        (inside / "go").touch()
        assert (await end_of(bench.engine, "t")).exit_code == 0
        assert (await text_of(bench.engine, handle)).split() == ["200", "200"]
