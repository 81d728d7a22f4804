"""Environments built by the daemon's builder: what they are, how they fail and end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.spec import Cause, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.contract import wait_for_text
from tests.engines.docker_harness import DockerBench, TestDaemon, docker_bench
from tests.engines.harness import end_of, is_state, limits, start, task, text_of, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
RUNNING = is_state(ReplicaState.RUNNING)


async def build(bench: DockerBench, *runs: str, name: str = "build-1", **changes: object) -> str:
    """Begin a build; return the handle's name."""
    recipe = bench.recipe(*runs, **changes)  # type: ignore[arg-type]
    handles = [handle async for handle in bench.engine.build(name, recipe)]
    return handles[-1].name


async def test_lines_run_as_they_are_written_and_a_task_runs_on_the_result(
    docker: DockerBench,
) -> None:
    odd = 'printf "%s\\n" "a \\"b\\" \'c\' $HOME 文 \\\\" >/odd; # not a [comment]\necho second >>/odd'
    await build(docker, odd, "id -u >/who")
    assert (await end_of(docker.engine, "build-1")).exit_code == 0
    image = await docker.engine.find_image("abc")
    assert image is not None
    handle = await start(docker.engine, replace(task("t", "cat /odd /who"), image=image))
    assert (await end_of(docker.engine, "t")).exit_code == 0
    assert await text_of(docker.engine, handle) == "a \"b\" 'c' /root 文 \\\nsecond\n0\n"


async def test_a_line_that_fails_ends_it_with_its_exit_code_and_no_image(
    docker: DockerBench,
) -> None:
    fresh = f"echo before {docker.settings.instance}"  # what an earlier run has built says nothing
    await build(docker, fresh, "echo broken >&2; exit 7")
    end = await end_of(docker.engine, "build-1")
    assert (end.exit_code, end.cause) == (7, Cause.EXIT)
    assert await docker.engine.find_image("abc") is None
    handle = [h async for h in docker.engine.build("build-1", docker.recipe("x"))][-1]
    text = await text_of(docker.engine, handle)
    assert f"before {docker.settings.instance}\n" in text
    assert "broken\n" in text
    assert "non-zero code: 7" in text


async def test_a_build_is_stopped_and_leaves_no_image_and_no_container(
    docker: DockerBench,
) -> None:
    handle = [h async for h in docker.engine.build("build-1", docker.recipe("echo up; sleep 600"))]
    await wait_for_text(docker, handle[-1], "up\n")
    await docker.engine.stop(handle[-1])
    assert (await end_of(docker.engine, "build-1")).cause is Cause.STOPPED
    assert await docker.engine.find_image("abc") is None
    await until(lambda: "sleep 600" not in docker.daemon.docker("ps", "--no-trunc"))


async def test_a_build_that_never_ends_ends_at_its_limit(docker: DockerBench) -> None:
    await build(docker, "sleep 600", time_limit_seconds=2)
    end = await end_of(docker.engine, "build-1")
    assert (end.cause, end.detail["limit_seconds"]) == (Cause.TIME_LIMIT, 2)


async def test_a_build_that_needs_too_much_memory_is_told_so(docker: DockerBench) -> None:
    code = "x = bytearray(200 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"
    await build(docker, f"exec python -c '{code}'", limits=limits(memory_mb=64))
    end = await end_of(docker.engine, "build-1")
    assert end.cause is Cause.OUT_OF_MEMORY
    assert end.detail["limit_mb"] == 64


async def test_a_build_goes_on_after_the_runner_was_killed(docker: DockerBench) -> None:
    handle = [h async for h in docker.engine.build("build-1", docker.recipe("echo up; sleep 4"))]
    await wait_for_text(docker, handle[-1], "up\n")
    docker.kill()
    docker.launch()
    assert (await end_of(docker.engine, "build-1")).exit_code == 0
    assert await docker.engine.find_image("abc")


async def test_a_build_goes_on_after_the_daemon_was_restarted(
    own_daemon: TestDaemon, tmp_path: Path
) -> None:
    async with docker_bench(tmp_path, own_daemon) as bench:
        handle = [h async for h in bench.engine.build("build-1", bench.recipe("echo up; sleep 4"))]
        await wait_for_text(bench, handle[-1], "up\n")
        own_daemon.stop()
        own_daemon.start()
        end = await end_of(bench.engine, "build-1")
        assert (end.exit_code, end.cause) == (0, Cause.EXIT)
        assert await bench.engine.find_image("abc")


async def test_a_container_that_somebody_starts_from_an_image_of_ours_is_left_alone(
    docker: DockerBench,
) -> None:
    await build(docker, "true")
    await end_of(docker.engine, "build-1")
    image = await docker.engine.find_image("abc")
    name = f"theirs-{docker.settings.instance}"
    docker.daemon.docker("run", "-d", "--name", name, "--network=none", str(image), "sleep", "60")
    docker.kill()
    docker.launch()
    await start(docker.engine, task("t", "true"))
    await end_of(docker.engine, "t")
    assert name in docker.daemon.docker("ps", "--format", "{{.Names}}")
    docker.daemon.docker("rm", "-f", name)


async def test_what_is_built_is_not_built_again_and_one_digest_by_one_alone(
    docker: DockerBench,
) -> None:
    await build(docker, "sleep 2")
    with pytest.raises(EngineError) as refused:
        await build(docker, "sleep 2", name="build-2")
    assert refused.value.code == "build_running"
    await end_of(docker.engine, "build-1")
    handle = [h async for h in docker.engine.build("build-3", docker.recipe("sleep 2"))]
    assert (await end_of(docker.engine, "build-3")).exit_code == 0
    assert "there already" in await text_of(docker.engine, handle[-1])


async def test_a_base_that_is_not_there_is_named(docker: DockerBench) -> None:
    recipe = replace(docker.recipe("true"), base="127.0.0.1:9/nothing:1")
    handle = [h async for h in docker.engine.build("build-1", recipe)]
    assert (await end_of(docker.engine, "build-1")).exit_code != 0
    assert "127.0.0.1:9" in await text_of(docker.engine, handle[-1])


async def test_builds_are_given_arguments_and_certificates(
    daemon: TestDaemon, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("our own certificates\n")
    options: dict[str, object] = {
        "build_arguments": {"PIP_INDEX_URL": "http://index"},
        "ca_bundle": str(bundle),
    }
    async with docker_bench(tmp_path, daemon, options) as bench:
        line = 'echo "$PIP_INDEX_URL"; cat /etc/ssl/certs/ca-certificates.crt'
        # A line that no earlier run has left in the daemon's cache.
        recipe = bench.recipe(f"{line} # {bench.settings.instance}")
        handle = [h async for h in bench.engine.build("build-1", recipe)]
        assert (await end_of(bench.engine, "build-1")).exit_code == 0
        text = await text_of(bench.engine, handle[-1])
        assert "http://index\nour own certificates\n" in text
