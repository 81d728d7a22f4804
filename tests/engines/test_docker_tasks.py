"""Tasks as containers: what they see, what limits them, how their end is told."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.docker import names
from kpl_lab.engines.spec import Cause, Observation, ReplicaState
from tests.engines.contract import wait_for_text
from tests.engines.docker_harness import (
    IMAGE,
    DockerBench,
    TestDaemon,
    docker_bench,
    inspect,
    registry,
)
from tests.engines.harness import (
    end_of,
    is_state,
    limits,
    see,
    start,
    task,
    text_of,
    until,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
RUNNING = is_state(ReplicaState.RUNNING)

REPORT = """
import json, os
root = os.environ["IN"]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "home": os.environ["HOME"],
    "user": os.environ["USER"], "cwd": os.getcwd(), "files": sorted(os.listdir(".")),
    "inputs": {n: sorted(os.listdir(os.path.join(root, n))) for n in sorted(os.listdir(root))},
    "outputs": sorted(os.listdir(os.environ["OUT"])),
    "capabilities": {key: status[key].strip() for key in ("CapEff", "CapPrm", "CapBnd", "CapInh")},
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 20,
    "first": open("/proc/1/comm").read().strip(),
    "writable": [os.access(p, os.W_OK) for p in (".", os.environ["HOME"], "/tmp")],
}))
"""


async def test_it_sees_its_code_inputs_and_outputs_and_has_no_rights(docker: DockerBench) -> None:
    code = docker.folder("code/a", {"report 一.py": REPORT, "pkg/x.py": ""})
    handle = await start(
        docker.engine,
        task(
            "t",
            'python "report 一.py"; echo changed >"report 一.py"',
            code=str(code),
            inputs=(
                docker.input("数据 1", "datasets/1/1", {"root.data": "d"}),
                docker.input("model", "models/1/1", {"m.bin": "m"}),
            ),
            outputs=("save", "other"),
            limits=limits(shm_mb=24),
        ),
    )
    assert (await end_of(docker.engine, "t")).exit_code == 0
    found = json.loads(await text_of(docker.engine, handle))
    assert 20000 <= found["uid"] < 60000
    assert found["gid"] == found["uid"]
    assert found["groups"] in ([], [found["gid"]])
    assert set(found["capabilities"].values()) == {"0000000000000000"}
    assert found["no_new_privileges"] == "1"
    assert found["files"] == ["pkg", "report 一.py"]
    assert found["inputs"] == {
        "0": ["root.data"],
        "1": ["m.bin"],
        "model": ["m.bin"],
        "数据 1": ["root.data"],
    }
    assert found["outputs"] == ["0", "1", "other", "save"]
    assert found["shm"] == 24
    assert found["first"] == "docker-init"
    assert found["writable"] == [True, True, True]
    assert found["user"] == "kpl"
    assert (code / "report 一.py").read_text() == REPORT


async def test_inputs_cannot_be_written_by_whatever_mode(docker: DockerBench) -> None:
    data = docker.input("data", "datasets/1/1", {"root.data": "d"})
    for path in (Path(data.source), Path(data.source) / "root.data"):
        path.chmod(0o777)
    line = 'for f in "$IN/data/root.data" "$IN/data/new"; do echo x >"$f" && echo WROTE; done; true'
    handle = await start(docker.engine, task("t", line, inputs=(data,)))
    await end_of(docker.engine, "t")
    text = await text_of(docker.engine, handle)
    assert "Read-only file system" in text
    assert "WROTE" not in text


async def test_secrets_are_files_and_in_no_variable(docker: DockerBench) -> None:
    line = 'stat -c "%a %u" "$T"; cat "$T"; echo; id -u; sleep 600'
    handle = await start(
        docker.engine,
        task("t", line, secrets={"token": "s3cret"}, environment={"T": "{{secrets}}/token"}),
    )
    await wait_for_text(docker, handle, "s3cret")
    assert "s3cret" not in json.dumps(await inspect(docker, "t"))
    await docker.engine.stop(handle, grace_seconds=0)
    await end_of(docker.engine, "t")
    mode, owner, text, uid = (await text_of(docker.engine, handle)).split()
    assert (mode, owner, text) == ("600", uid, "s3cret")


async def test_limits_are_those_that_were_asked_for(docker: DockerBench) -> None:
    await start(docker.engine, task("t", "sleep 600", limits=limits(cpu=0.5, memory_mb=300)))
    await see(docker.engine, "t", RUNNING)
    found = (await inspect(docker, "t"))["HostConfig"]
    assert found["Memory"] == found["MemorySwap"] == 300 << 20
    assert found["NanoCpus"] == 500_000_000
    assert found["PidsLimit"] == 200
    assert not found["Privileged"]


async def test_too_much_memory_ends_it_and_says_how_much(docker: DockerBench) -> None:
    code = "x = bytearray(200 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"
    await start(docker.engine, task("t", f'python -c "{code}"', limits=limits(memory_mb=64)))
    end = await end_of(docker.engine, "t")
    assert end.cause is Cause.OUT_OF_MEMORY
    assert end.detail["limit_mb"] == 64
    assert end.exit_code != 0


async def test_a_child_that_is_killed_for_memory_is_told_while_the_rest_lives(
    docker: DockerBench,
) -> None:
    code = "x = bytearray(200 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"
    line = f'python -c "{code}"; echo went on; sleep 600'
    handle = await start(docker.engine, task("t", line, limits=limits(memory_mb=64)))
    found = await see(docker.engine, "t", lambda one: bool(one.replicas[0].detail.get("oom_kills")))
    assert found.replicas[0].state is ReplicaState.RUNNING
    await wait_for_text(docker, handle, "went on")


async def test_a_fork_bomb_hits_its_limit_and_can_be_stopped(docker: DockerBench) -> None:
    bomb = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.05)"
    handle = await start(docker.engine, replace(task("t", ""), command=("python", "-c", bomb)))
    await see(docker.engine, "t", RUNNING)
    usage = await docker.engine.usage(handle)
    assert usage is not None
    assert usage.processes <= 200
    await docker.engine.stop(handle, grace_seconds=0)
    assert (await end_of(docker.engine, "t")).cause is Cause.STOPPED


async def test_an_image_that_is_not_there_is_named(daemon: TestDaemon, tmp_path: Path) -> None:
    async with docker_bench(tmp_path, daemon, {"pull": False}) as bench:
        await start(bench.engine, replace(task("t", "true"), image="kpl-test/nothing:1"))
        end = await end_of(bench.engine, "t")
        assert end.cause is Cause.START_FAILED
        assert "kpl-test/nothing:1" in str(end.detail["error"])


async def test_an_image_that_cannot_be_pulled_is_named(docker: DockerBench) -> None:
    image = "127.0.0.1:9/nothing:1"
    await start(docker.engine, replace(task("t", "true"), image=image))
    end = await end_of(docker.engine, "t")
    assert end.cause is Cause.START_FAILED
    assert "127.0.0.1:9" in str(end.detail["error"])


async def test_an_image_is_pulled_and_its_progress_is_told(
    docker: DockerBench, tmp_path: Path
) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry to pull from")
    with registry(tmp_path) as address:
        image = f"{address}/{docker.settings.instance}/base:1"
        # A layer that nobody has yet: the base's own would be there already.
        tar = tmp_path / "layer.tar"
        with tarfile.open(tar, "w") as layer:
            layer.addfile(tarfile.TarInfo(docker.settings.instance))
        docker.daemon.docker("import", str(tar), image)
        docker.daemon.docker("push", "-q", image)
        docker.daemon.docker("rmi", image)
        seen: list[object] = []
        workload = replace(task("t", "true"), image=image, command=("/bin/nothing",))

        def has_ended(one: Observation) -> bool:
            seen.append(one.replicas[0].detail.get("pull"))
            return one.replicas[0].state is ReplicaState.EXITED

        handle = await start(docker.engine, workload)
        await see(docker.engine, "t", has_ended)
        assert f"pulling {image}" in await text_of(docker.engine, handle)
        assert {"done": 1, "total": 1} in seen
        assert image.rpartition(":")[0] in docker.daemon.docker("images")
        docker.daemon.docker("rmi", "-f", image)


@pytest.mark.parametrize("command", [("kill",), ("rm", "-f")])
async def test_what_somebody_else_kills_is_told_as_killed(
    docker: DockerBench, command: tuple[str, ...]
) -> None:
    await start(docker.engine, task("t", "sleep 600"))
    await see(docker.engine, "t", RUNNING)
    docker.daemon.docker(*command, docker.container("t"))
    assert (await end_of(docker.engine, "t")).cause is Cause.KILLED


async def test_many_lines_arrive_whole(docker: DockerBench) -> None:
    handle = await start(docker.engine, task("t", "seq 200000"))
    size, last = 0, b""
    async for chunk in docker.engine.logs(handle, follow=True):
        assert chunk.offset == size
        size += len(chunk.data)
        last = chunk.data
    assert size == 1_288_895
    assert last.endswith(b"\n199999\n200000\n")


async def test_text_arrives_as_it_is_and_what_is_no_text_is_marked(docker: DockerBench) -> None:
    line = (
        r"printf 'no end \377\000 %s' 文; head -c 100000 /dev/zero | tr '\0' x; echo; echo err >&2"
    )
    handle = await start(docker.engine, task("t", line))
    await end_of(docker.engine, "t")
    text = await text_of(docker.engine, handle)
    assert text.replace("err\n", "") == "no end \ufffd\0 文" + "x" * 100000 + "\n"
    assert "err\n" in text


async def test_a_log_ends_at_its_limit_and_says_so(daemon: TestDaemon, tmp_path: Path) -> None:
    async with docker_bench(tmp_path, daemon, {"log_max_bytes": 1000}) as bench:
        handle = await start(bench.engine, task("t", "seq 100000; exit 4"))
        assert (await end_of(bench.engine, "t")).exit_code == 4
        *lines, last = (await text_of(bench.engine, handle)).splitlines()
        assert lines == [str(n) for n in range(1, len(lines) + 1)]
        assert "1000 bytes" in last


async def test_a_log_has_every_line_once_whatever_runner_wrote_it(docker: DockerBench) -> None:
    code = "import time\nfor n in range(3000):\n print(n)\n if n % 10 == 0: time.sleep(0.01)"
    handle = await start(docker.engine, replace(task("t", ""), command=("python", "-c", code)))
    log = docker.replica_folder("t") / "log"
    for size in (500, 4000):
        await until(lambda size=size: log.exists() and log.stat().st_size > size)  # type: ignore[misc]
        docker.kill()
        docker.launch()
    assert (await end_of(docker.engine, "t")).exit_code == 0
    lines = (await text_of(docker.engine, handle)).splitlines()
    assert lines == [str(n) for n in range(3000)]


async def test_a_stop_that_the_runner_did_not_live_to_finish_is_finished(
    docker: DockerBench,
) -> None:
    handle = await start(
        docker.engine, task("t", "trap '' TERM; echo up; while :; do sleep 1; done")
    )
    await wait_for_text(docker, handle, "up\n")
    await docker.engine.stop(handle, grace_seconds=1)
    docker.kill()
    docker.launch()
    end = await end_of(docker.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.STOPPED, -9)


async def test_what_vanished_while_nobody_looked_is_lost_and_not_run_again(
    docker: DockerBench,
) -> None:
    handle = await start(docker.engine, task("t", "echo once; sleep 600"))
    await wait_for_text(docker, handle, "once\n")
    docker.kill()
    docker.daemon.docker("rm", "-f", docker.container("t"))
    docker.launch()
    assert (await end_of(docker.engine, "t")).cause is Cause.LOST
    assert await text_of(docker.engine, handle) == "once\n"


async def test_orphans_are_found_by_label_and_removed(docker: DockerBench) -> None:
    await start(docker.engine, task("t", "sleep 600"))
    await see(docker.engine, "t", RUNNING)
    docker.kill()
    label = f"kpl.installation={docker.settings.instance}"
    docker.daemon.docker("run", "-d", "--network=none", "--name", f"orphan-{docker.settings.instance}",
                         "--label", label, "--label", "kpl.workload=nobody",
                         "--label", "kpl.replica=0", "--label", "kpl.role=command",
                         IMAGE, "sleep", "600")  # fmt: skip
    assert len(docker.containers()) == 2
    docker.launch()
    await until(lambda: docker.containers() == [docker.container("t")])


async def test_containers_do_not_reach_one_another(docker: DockerBench) -> None:
    serve = (
        "import socket; s = socket.create_server(('', 8000)); print('up', flush=True); s.accept()"
    )
    first = await start(docker.engine, replace(task("a", ""), command=("python", "-c", serve)))
    await wait_for_text(docker, first, "up\n")
    networks = (await inspect(docker, "a"))["NetworkSettings"]["Networks"].values()
    host = next(iter(networks))["IPAddress"]
    call = f"import socket; socket.create_connection(('{host}', 8000), 2)"
    await start(docker.engine, replace(task("b", ""), command=("python", "-c", call)))
    assert (await end_of(docker.engine, "b")).exit_code == 1


async def test_replicas_of_a_task_meet_on_a_network_of_their_own(docker: DockerBench) -> None:
    workload = replace(task("t", "sleep 600", replicas=2), meeting_ports=1)
    handle = await start(docker.engine, workload)
    await see(docker.engine, "t", is_state(ReplicaState.RUNNING, 1))
    own = names.network(docker.settings.instance, "t")
    assert own in docker.daemon.docker("network", "ls", "--format", "{{.Name}}").split()
    await docker.engine.delete(handle)
    assert own not in docker.daemon.docker("network", "ls", "--format", "{{.Name}}").split()


async def test_a_network_that_a_killed_runner_has_left_is_removed(docker: DockerBench) -> None:
    installation = docker.settings.instance
    left, label = names.network(installation, "gone"), f"{names.INSTALLATION}={installation}"
    await start(docker.engine, task("t", "sleep 600"))
    await see(docker.engine, "t", is_state(ReplicaState.RUNNING))
    docker.daemon.docker("network", "create", "--label", label, left)
    docker.kill()
    docker.launch()
    await see(docker.engine, "t", is_state(ReplicaState.RUNNING))
    listed = ("network", "ls", "--format", "{{.Name}}")
    await until(lambda: left not in docker.daemon.docker(*listed).split())
    assert names.network(installation) in docker.daemon.docker(*listed).split()
