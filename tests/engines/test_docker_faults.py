"""Builds and workloads that really fail on Docker: the dictionary tells each by its cause."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.spec import Dockerfile, Handle, Push, Replica, Workload
from kpl_lab.platform.domain.faults import Explanation, explain
from tests.engines.docker_harness import IMAGE, DockerBench, registry
from tests.engines.harness import end_of, limits, start, task, text_of

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]
NO_FILE = json.dumps(["/opt/nosuch"])
NO_SECRET = "--mount=type=secret,id=pw,required=true"

# code, whether the newer builder is to build, the lines
BUILDS: list[tuple[str, bool, tuple[str, ...]]] = [
    ("dockerfile_syntax", False, ("FRM nothing",)),
    ("dockerfile_syntax", True, ("FRM nothing",)),
    ("dockerfile_copy", False, ("COPY nosuch /x",)),
    ("dockerfile_copy", True, ("COPY nosuch /x",)),
    ("dockerfile_run", False, ("RUN exit 7",)),
    ("dockerfile_run", True, ("RUN exit 7",)),
    ("command_not_found", False, ("RUN trian --epochs 3",)),
    ("command_not_found", True, ("RUN trian --epochs 3",)),
    ("entry_missing", False, (f"RUN {NO_FILE}",)),
    ("entry_missing", True, (f"RUN {NO_FILE}",)),
    ("image_user", False, ("USER nosuch", "RUN true")),
    ("image_user", True, ("USER nosuch", "RUN true")),
    ("registry_unreachable", False, ("FROM 127.0.0.1:9/base:1",)),
    ("registry_unreachable", True, ("FROM 127.0.0.1:9/base:1",)),
    ("image_reference", False, ("FROM Base:1",)),
    ("secret_missing", True, (f"RUN {NO_SECRET} true",)),
]
# code, the command
COMMANDS: list[tuple[str, tuple[str, ...]]] = [
    ("entry_missing", ("nosuch",)),
    ("entry_not_executable", ("/etc/passwd",)),
    ("no_jupyter", ("jupyterhub-singleuser",)),
    (
        "bus_error",
        (
            *("python3", "-c"),
            "from multiprocessing.shared_memory import SharedMemory as S\n"
            "memory = S(create=True, size=64 << 20)\nmemory.buf[:] = bytes(64 << 20)",
        ),
    ),
    ("shm_too_small", ("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=64")),
]


async def explained(docker: DockerBench, handle: Handle, end: Replica) -> tuple[Explanation, str]:
    """Return what the platform says of an end, and what it read."""
    log = await text_of(docker.engine, handle)
    return explain(end.cause, end.exit_code, end.detail, log), log


async def run(docker: DockerBench, workload: Workload) -> tuple[Explanation, str]:
    """Run to the end."""
    handle = await start(docker.engine, workload)
    return await explained(docker, handle, await end_of(docker.engine, workload.name))


async def test_a_build_that_fails_is_told_by_its_cause(docker: DockerBench) -> None:
    told = []
    for number, (code, newer, lines) in enumerate(BUILDS):
        name = f"build-{number}"
        text = "\n".join((f"FROM {IMAGE}", *lines)) + "\n"
        recipe = replace(
            docker.recipe(digest=f"d{number}"),
            dockerfile=Dockerfile(text=text, needs_buildkit=newer),
        )
        handles = [handle async for handle in docker.engine.build(name, recipe)]
        found, log = await explained(docker, handles[-1], await end_of(docker.engine, name))
        told.append((code, found.reason, "" if found.reason == code else log))
    assert [(code, log) for code, reason, log in told if reason != code] == []


async def test_what_cannot_be_made_taken_in_or_sent_is_told_by_its_cause(
    docker: DockerBench, tmp_path: Path
) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry to send to")
    letters = docker.store / "letters.tar"
    letters.write_bytes(b"x" * 2048)
    text = f"FROM {IMAGE}\nONBUILD ADD http://127.0.0.1:9/x /x\n"
    _ = [h async for h in docker.engine.build("b", docker.recipe(dockerfile=Dockerfile(text=text)))]
    await end_of(docker.engine, "b")
    waiting = await docker.engine.find_image("abc")
    assert waiting is not None
    asked = Dockerfile(text=f"FROM {waiting}\n", bases=(waiting,))
    with registry(tmp_path, password="open sesame") as closed:
        cases: dict[str, dict[str, Any]] = {
            "push_unreachable": {"push": Push(reference="127.0.0.1:9/x:1")},
            "push_denied": {"push": Push(reference=f"{closed}/x:1")},
            "image_archive": {"archive": str(letters)},
            "image_too_large": {"max_bytes": 1},
            "onbuild_refused": {"dockerfile": asked},
        }
        told = {}
        for number, (code, changes) in enumerate(cases.items()):
            recipe = replace(docker.recipe("true", digest=f"m{number}"), **changes)
            name = f"build-{number}"
            handles = [handle async for handle in docker.engine.build(name, recipe)]
            end = await end_of(docker.engine, name)
            found, log = await explained(docker, handles[-1], end)
            told[code] = found.reason if found.reason == code else log
    assert told == {code: code for code in cases}


async def test_a_command_that_cannot_run_is_told_by_its_cause(docker: DockerBench) -> None:
    for number, (code, command) in enumerate(COMMANDS):
        small = limits(memory_mb=256, shm_mb=16)
        workload = replace(task(f"t{number}", ""), command=command, image=IMAGE, limits=small)
        found, log = await run(docker, workload)
        assert found.reason == code, log


async def test_an_image_that_cannot_be_had_is_told_by_its_cause(
    docker: DockerBench, tmp_path: Path
) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry to pull from")
    found, log = await run(docker, replace(task("t0", "true"), image="127.0.0.1:9/nothing:1"))
    assert found.reason == "registry_unreachable", log
    with registry(tmp_path) as address:
        found, log = await run(docker, replace(task("t1", "true"), image=f"{address}/nothing:1"))
        assert found.reason == "image_missing", log
    closed = tmp_path / "closed"
    closed.mkdir()
    with registry(closed, password="open sesame") as address:
        found, log = await run(docker, replace(task("t2", "true"), image=f"{address}/nothing:1"))
        assert found.reason == "registry_denied", log
