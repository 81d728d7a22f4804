"""Tasks on the local engine: what they see, what limits them, how their end is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.local import processes, syscalls
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.spec import Cause, ReplicaState
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

REPORT = """
import json, os
root = os.environ["IN"]
print(json.dumps({
    "uid": os.getuid(), "home": os.environ["HOME"], "user": os.environ["USER"],
    "logname": os.environ["LOGNAME"], "cwd": os.getcwd(), "files": sorted(os.listdir(".")),
    "inputs": {n: sorted(os.listdir(os.path.join(root, n))) for n in sorted(os.listdir(root))},
    "outputs": sorted(os.listdir(os.environ["OUT"])),
    "writable": os.access(".", os.W_OK),
}))
"""


async def test_it_works_in_a_copy_of_its_code_and_finds_inputs_by_key_and_index(
    bench: LocalBench,
) -> None:
    code = bench.folder("code/a", {"report 一.py": REPORT, "pkg/x.py": ""})
    handle = await start(
        bench.engine,
        task(
            "t",
            'python "report 一.py"; echo changed >"report 一.py"',
            code=str(code),
            inputs=(
                bench.input("数据 1", "datasets/1/1", {"root.data": "d"}),
                bench.input("model", "models/1/1", {"m.bin": "m"}),
            ),
            outputs=("save", "other"),
        ),
    )
    assert (await end_of(bench.engine, "t")).exit_code == 0
    found = json.loads(await text_of(bench.engine, handle))
    assert found["files"] == ["pkg", "report 一.py"]
    assert found["inputs"] == {
        "0": ["root.data"],
        "1": ["m.bin"],
        "model": ["m.bin"],
        "数据 1": ["root.data"],
    }
    assert found["outputs"] == ["0", "1", "other", "save"]
    assert found["writable"]
    assert Path(found["home"]).name == "home"
    assert found["user"] == found["logname"] == "kpl"
    assert (code / "report 一.py").read_text() == REPORT
    if not bench.is_ordinary:
        assert 20000 <= found["uid"] < 60000


async def test_inputs_cannot_be_written(bench: LocalBench) -> None:
    data = bench.input("data", "datasets/1/1", {"root.data": "d"})
    line = 'for f in "$IN/data/root.data" "$IN/data/new"; do echo x >"$f" && echo WROTE; done; true'
    handle = await start(bench.engine, task("t", line, inputs=(data,)))
    await end_of(bench.engine, "t")
    if not bench.is_ordinary:  # where all is one account, nothing but its own care protects it
        assert "WROTE" not in await text_of(bench.engine, handle)


async def test_secrets_are_files_for_its_account_alone(bench: LocalBench) -> None:
    line = 'stat -c "%a %u" "$T"; cat "$T"; echo; id -u'
    handle = await start(
        bench.engine,
        task("t", line, secrets={"token": "s3cret"}, environment={"T": "{{secrets}}/token"}),
    )
    await end_of(bench.engine, "t")
    mode, owner, text, uid = (await text_of(bench.engine, handle)).split()
    assert (mode, owner, text) == ("600", uid, "s3cret")
    for path in bench.replica_folder("t").iterdir():
        if path.name != "log" and path.is_file() and b"s3cret" in path.read_bytes():
            assert path.stat().st_mode & 0o077 == 0


async def test_too_much_memory_ends_it_and_says_how_much(bench: LocalBench) -> None:
    code = "import time\nx = bytearray(200 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(60)"
    workload = task("t", f'python -c "{code}"; exit $?', limits=limits(memory_mb=64))
    await start(bench.engine, workload)
    end = await end_of(bench.engine, "t")
    assert end.cause is Cause.OUT_OF_MEMORY
    assert end.detail["limit_mb"] == 64
    assert end.detail["used_mb"] >= 64
    assert end.exit_code != 0


async def test_children_that_fork_twice_end_with_the_command(bench: LocalBench) -> None:
    line = "(setsid sh -c 'trap \"\" TERM HUP; (sleep 600 &) ; sleep 600' &) ; sleep 0.3; echo done"
    await start(bench.engine, task("t", line))
    assert (await end_of(bench.engine, "t")).exit_code == 0
    await until(lambda: not bench.marked(), 5)


async def test_a_fork_bomb_hits_its_limit_and_can_be_stopped(bench: LocalBench) -> None:
    bomb = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.05)"
    handle = await start(bench.engine, replace(task("t", ""), command=("python", "-c", bomb)))
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    await until(lambda: len(bench.marked()) > 20)
    assert len(bench.marked()) < 300
    await bench.engine.stop(handle, grace_seconds=0)
    assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED
    await until(lambda: len(bench.marked()) == 0, 10)


async def test_a_million_lines_arrive_whole(root_bench: LocalBench) -> None:
    handle = await start(root_bench.engine, task("t", "seq 1000000"))
    size, last = 0, b""
    async for chunk in root_bench.engine.logs(handle, follow=True):
        assert chunk.offset == size
        size += len(chunk.data)
        last = chunk.data
    assert size == 6_888_896
    assert last.endswith(b"\n999999\n1000000\n")


async def test_a_log_ends_at_its_limit_and_says_so(tmp_path: Path) -> None:
    async with local_bench(tmp_path, possible_modes()[0], {"log_max_bytes": 1000}) as bench:
        handle = await start(bench.engine, task("t", "seq 100000; exit 4"))
        assert (await end_of(bench.engine, "t")).exit_code == 4
        text = await text_of(bench.engine, handle)
        *lines, last = text.splitlines()
        assert lines == [str(n) for n in range(1, len(lines) + 1)]
        assert "1000 bytes" in last


async def test_a_killed_supervisor_ends_it_as_killed_and_leaves_nothing(bench: LocalBench) -> None:
    await start(bench.engine, task("t", "sleep 600 & sleep 600"))
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    status = Status.read(bench.replica_folder("t"))
    assert status is not None
    assert status.shim is not None
    os.kill(status.shim.pid, signal.SIGKILL)
    end = await end_of(bench.engine, "t")
    assert end.cause is Cause.KILLED
    await until(lambda: not bench.marked(), 5)


async def test_a_command_killed_from_outside_is_told_as_killed(bench: LocalBench) -> None:
    await start(bench.engine, replace(task("t", ""), command=("sleep", "600")))
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    mark = f"{processes.MARK}={bench.settings.instance}/t/0"
    await until(lambda: len(processes.pids_with_variable(mark)) == 1)
    os.kill(processes.pids_with_variable(mark)[0], signal.SIGKILL)
    assert (await end_of(bench.engine, "t")).cause is Cause.KILLED


async def test_workloads_of_an_earlier_start_of_the_machine_are_lost(bench: LocalBench) -> None:
    await start(bench.engine, task("t", "sleep 600"))
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    bench.kill()
    folder = bench.replica_folder("t")
    status = Status.read(folder)
    assert status is not None
    assert status.shim is not None
    status.shim.kill(signal.SIGKILL)
    processes.send(bench.marked(), signal.SIGKILL)  # as when the machine is switched off
    await until(lambda: not bench.marked(), 5)
    status.shim = replace(status.shim, boot="another")
    owner = (folder / "status.json").stat()
    status.write(folder)
    os.chown(folder / "status.json", owner.st_uid, owner.st_gid)
    bench.launch()
    assert (await end_of(bench.engine, "t")).cause is Cause.LOST


async def test_only_what_the_platform_wrote_is_filled(bench: LocalBench) -> None:
    found = task(
        "t",
        """echo "$MINE"; echo '{{work}} {{port}}'; echo "$OUT" """,
        environment={"MINE": "Answer {{inputs}} at {{port}}", "OUT": "{{outputs}}/x"},
        templates=("OUT",),
    )
    handle = await start(bench.engine, found)
    await end_of(bench.engine, "t")
    outputs = bench.replica_folder("t") / "inside" / "outputs" / "x"
    assert (await text_of(bench.engine, handle)).splitlines() == [
        "Answer {{inputs}} at {{port}}",
        "{{work}} {{port}}",
        str(outputs),
    ]


async def test_folders_of_any_depth_are_told_and_go_with_the_task(bench: LocalBench) -> None:
    code = (
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "for _ in range(int(sys.argv[2])): os.mkdir('d'); os.chdir('d')\n"
        "open('leaf', 'w').write('x')\n"
    )
    line = (
        f'set -e; nest() {{ python -c "{code}" "$@"; }}; nest "$OUT/deep" 1300; nest . 1300;'
        'nest "$OUT/flat" 63; nest "${TMPDIR:-/tmp}" 1300'
    )
    handle = await start(bench.engine, task("t", line, outputs=("deep", "flat")))
    ended = await end_of(bench.engine, "t")
    assert ended.exit_code == 0
    incoming = bench.store / "incoming"
    for _ in range(2):
        with pytest.raises(EngineError, match="64 folders deep") as refused:
            await bench.engine.collect(handle, "deep", incoming / "deep")
        assert refused.value.code == "output_too_deep"
    assert await bench.engine.collect(handle, "flat", incoming / "flat") == 1
    await bench.engine.delete(handle)
    assert not bench.replica_folder("t").exists()


async def test_an_output_folder_replaced_by_a_link_is_refused(bench: LocalBench) -> None:
    line = 'rmdir "$OUT/save"; ln -s /etc "$OUT/save"'
    handle = await start(bench.engine, task("t", line, outputs=("save",)))
    await end_of(bench.engine, "t")
    with pytest.raises(EngineError) as refused:
        await bench.engine.collect(handle, "save", bench.store / "x")
    assert refused.value.code == "no_output"


async def test_it_sees_no_other_workload_and_nothing_of_the_platform(
    root_bench: LocalBench,
) -> None:
    bench = root_bench
    (bench.home / "secrets").mkdir()
    (bench.home / "secrets" / "key").write_text("k")
    bench.home.chmod(0o700)
    await start(bench.engine, task("other", "sleep 600"))
    await see(bench.engine, "other", is_state(ReplicaState.RUNNING))
    line = f'ls "{bench.home}" "{bench.home}/local" "{bench.home}/local/workloads"; ls /tmp; id -u'
    handle = await start(bench.engine, task("t", line))
    await end_of(bench.engine, "t")
    words = (await text_of(bench.engine, handle)).split()
    assert "other" not in words
    assert "secrets" not in words
    assert "t" in words


async def test_shared_memory_and_tmp_are_its_own(root_bench: LocalBench) -> None:
    line = "echo x >/tmp/mine; df -m --output=size /dev/shm | tail -1; ls /tmp /dev/shm"
    handle = await start(root_bench.engine, task("t", line, limits=limits(shm_mb=24)))
    await end_of(root_bench.engine, "t")
    words = (await text_of(root_bench.engine, handle)).split()
    assert words[0] == "24"
    assert "mine" in words
    assert not os.path.exists("/tmp/mine")  # noqa: ASYNC240, PTH110 (a look, no wait)


async def test_every_task_has_an_account_of_its_own(root_bench: LocalBench) -> None:
    uids = set()
    for name in ("a", "b"):
        handle = await start(root_bench.engine, task(name, "id -u"))
        await end_of(root_bench.engine, name)
        uids.add(int(await text_of(root_bench.engine, handle)))
    assert len(uids) == 2
    assert 0 not in uids


async def test_a_full_disk_is_named_and_the_end_is_still_told(tmp_path: Path) -> None:
    if "root" not in possible_modes():
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    syscalls.mount("tmpfs", disk, "tmpfs", syscalls.MountFlag(0), "size=4m")
    try:
        async with local_bench(disk, "root") as bench:
            line = 'head -c 10M /dev/zero >"$OUT/save/big" || exit 7'
            await start(bench.engine, task("t", line, outputs=("save",)))
            end = await end_of(bench.engine, "t")
            assert (end.cause, end.exit_code) == (Cause.DISK_FULL, 7)
    finally:
        syscalls.unmount(disk)


async def test_only_the_platform_may_talk_to_the_runner(root_bench: LocalBench) -> None:
    code = (
        "import os, socket, sys; os.setresuid(61999, 61999, 61999); s = socket.socket(socket.AF_UNIX)\n"
        'try: s.connect(sys.argv[1]); s.sendall(b\'{"call": "capacity"}\\n\'); print(s.recv(9999))\n'
        "except (PermissionError, BrokenPipeError, ConnectionResetError): print('refused')"
    )
    await root_bench.engine.capacity()
    path = root_bench.settings.home.runner_socket
    for mode in (0o660, 0o666):  # the file's mode, and should that ever be wrong, the credentials
        path.chmod(mode)
        for parent in path.parents:
            if str(parent).startswith(str(Path("/tmp/pytest"))) and parent.stat().st_uid == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
        process = await _run(sys.executable, "-c", code, str(path))
        assert "refused" in process or "not_the_platform" in process


async def _run(*command: str) -> str:
    found = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    return (await found.communicate())[0].decode()
