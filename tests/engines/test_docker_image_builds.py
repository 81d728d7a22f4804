"""Images from Dockerfiles and archives, by both builders, sent to a real registry."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.spec import (
    Cause,
    Dockerfile,
    Handle,
    Push,
    Recipe,
    RegistryLogin,
    Replica,
)
from tests.engines.contract import wait_for_text
from tests.engines.docker_harness import IMAGE, DockerBench, TestDaemon, docker_bench, registry
from tests.engines.harness import end_of, limits, start, task, text_of, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
SECRET = "RUN --mount=type=secret,id=pw "
TOO_MUCH = "x = bytearray(300 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"


def packed(bench: DockerBench, name: str, files: dict[str, str]) -> str:
    """Put a context into the store, as the platform does with what a user has sent."""
    path = bench.store / name
    with tarfile.open(path, "w") as tar:
        for one, text in files.items():
            info = tarfile.TarInfo(one)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return str(path)


def of(bench: DockerBench, *lines: str, **changes: object) -> Recipe:
    """Return a recipe of a Dockerfile on the base image."""
    text = "\n".join([f"FROM {IMAGE}", f"LABEL for={bench.settings.instance}", *lines]) + "\n"
    return replace(bench.recipe(), dockerfile=Dockerfile(text=text, **changes))  # type: ignore[arg-type]


async def build(
    bench: DockerBench, recipe: Recipe, name: str = "build-1"
) -> tuple[Handle, Replica]:
    """Build to the end."""
    handles = [handle async for handle in bench.engine.build(name, recipe)]
    return handles[-1], await end_of(bench.engine, name)


async def log_of(bench: DockerBench, handle: Handle) -> str:
    return await text_of(bench.engine, handle)


async def test_a_dockerfile_copies_from_its_context_and_takes_arguments(
    docker: DockerBench,
) -> None:
    lines = ("ARG WORD", "COPY a/one.txt /one.txt", "RUN echo $WORD > /two.txt")
    context = packed(docker, "context", {"a/one.txt": "one\n", "Dockerfile": "FROM nothing"})
    recipe = of(docker, *lines, context=context, arguments={"WORD": "two words"})
    assert (await build(docker, recipe))[1].exit_code == 0
    image = await docker.engine.find_image("abc")
    assert image is not None
    handle = await start(docker.engine, replace(task("t", "cat /one.txt /two.txt"), image=image))
    await end_of(docker.engine, "t")
    assert await text_of(docker.engine, handle) == "one\ntwo words\n"


async def test_what_waits_in_a_base_may_not_add_addresses(docker: DockerBench) -> None:
    waiting = of(docker, "ONBUILD ADD http://127.0.0.1:9/secret /secret")
    assert (await build(docker, waiting, "build-1"))[1].exit_code == 0
    base = await docker.engine.find_image("abc")
    assert base is not None
    text = f"FROM {base}\nRUN true\n"
    recipe = replace(docker.recipe(digest="on"), dockerfile=Dockerfile(text=text, bases=(base,)))
    _, end = await build(docker, recipe, "build-2")
    assert end.cause == Cause.START_FAILED
    assert "adds an address" in end.detail["error"]


@pytest.mark.parametrize("newer", [False, True])
async def test_a_base_that_nobody_has_is_named(docker: DockerBench, newer: bool) -> None:
    base = "127.0.0.1:9/team/none:1"
    asked = Dockerfile(text=f"FROM {base}\n", bases=(base,), needs_buildkit=newer)
    handle, end = await build(docker, replace(docker.recipe(), dockerfile=asked))
    assert (end.cause, end.exit_code) == (Cause.EXIT, 1)
    assert "connection refused" in end.detail["error"]
    assert "connection refused" in await log_of(docker, handle)


async def test_a_target_stops_at_its_stage(docker: DockerBench) -> None:
    recipe = of(docker, "RUN true", f"FROM {IMAGE} AS later", "RUN false")
    assert recipe.dockerfile is not None
    first = recipe.dockerfile.text.replace(IMAGE, f"{IMAGE} AS early", 1)
    recipe = replace(recipe, dockerfile=replace(recipe.dockerfile, text=first, target="early"))
    assert (await build(docker, recipe))[1].exit_code == 0


@pytest.mark.parametrize("newer", [False, True])
async def test_a_step_that_fails_is_told_with_its_exit_code(
    docker: DockerBench, newer: bool
) -> None:
    recipe = of(docker, "RUN echo grüße; exit 7", needs_buildkit=newer)
    handle, end = await build(docker, recipe)
    assert (end.exit_code, end.cause) == (7, Cause.EXIT)
    text = await log_of(docker, handle)
    assert "grüße\n" in text
    assert "RUN echo" in text
    assert await docker.engine.find_image("abc") is None


async def test_a_file_that_is_not_in_the_context_is_named(docker: DockerBench) -> None:
    recipe = of(docker, "COPY ../../etc/passwd /x", context=packed(docker, "c", {"a": ""}))
    handle, end = await build(docker, recipe)
    assert end.exit_code != 0
    assert "etc/passwd" in await log_of(docker, handle)


@pytest.mark.parametrize("newer", [False, True])
async def test_a_link_does_not_lead_out_of_the_context(docker: DockerBench, newer: bool) -> None:
    path = docker.store / "linked"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    recipe = of(docker, "COPY out/hostname /x", context=str(path), needs_buildkit=newer)
    handle, end = await build(docker, recipe)
    assert end.exit_code != 0
    assert "hostname" in await log_of(docker, handle)


async def test_a_secret_is_read_and_stays_in_no_layer_and_no_log(docker: DockerBench) -> None:
    recipe = of(docker, SECRET + "sha256sum /run/secrets/pw > /sum", secrets={"pw": "s3cr3t-word"})
    handle, end = await build(docker, recipe)
    text = await log_of(docker, handle)
    assert end.exit_code == 0, text
    image = await docker.engine.find_image("abc")
    assert image is not None
    layers = docker.daemon.docker("history", "--no-trunc", image)
    about = docker.daemon.docker("inspect", image)
    assert not [place for place in (text, layers, about) if "s3cr3t-word" in place]
    look = "cat /sum; ls /run/secrets 2>&1; grep -rs s3cr3t-word /run /etc /tmp /root; true"
    ran = await start(docker.engine, replace(task("t", look), image=image))
    await end_of(docker.engine, "t")
    said = await text_of(docker.engine, ran)
    assert said.startswith("4fba9d9a") or len(said.split()[0]) == 64
    assert "s3cr3t-word" not in said


async def test_a_secret_that_nobody_gave_is_named(docker: DockerBench) -> None:
    recipe = of(
        docker, SECRET.replace("id=pw", "id=pw,required=true") + "true", needs_buildkit=True
    )
    handle, end = await build(docker, recipe)
    assert end.exit_code != 0
    assert "pw" in await log_of(docker, handle)


@pytest.mark.parametrize("newer", [False, True])
async def test_a_step_that_needs_too_much_memory_is_told_so(
    docker: DockerBench, newer: bool
) -> None:
    recipe = of(docker, f"RUN {json.dumps(['python3', '-c', TOO_MUCH])}", needs_buildkit=newer)
    _, end = await build(docker, replace(recipe, limits=limits(memory_mb=100)))
    assert end.cause is Cause.OUT_OF_MEMORY
    assert end.detail["limit_mb"] == 100


@pytest.mark.parametrize("newer", [False, True])
async def test_a_build_is_stopped(docker: DockerBench, newer: bool) -> None:
    recipe = of(docker, "RUN echo up; sleep 611", needs_buildkit=newer)
    handle = [h async for h in docker.engine.build("build-1", recipe)][-1]
    await wait_for_text(docker, handle, "up\n")
    await docker.engine.stop(handle)
    assert (await end_of(docker.engine, "build-1")).cause is Cause.STOPPED
    await until(lambda: not _runs("sleep\0" + "611"))


def _runs(words: str) -> bool:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in place.read_text():
                return True
        except OSError:
            continue
    return False


async def test_a_build_that_leaves_too_little_room_is_ended(
    daemon: TestDaemon, tmp_path: Path
) -> None:
    options: dict[str, object] = {"build_keep_free_mb": 1 << 40}
    async with docker_bench(tmp_path, daemon, options) as bench:
        handle, end = await build(bench, of(bench, "RUN sleep 60"))
        assert end.cause is Cause.DISK_FULL
        assert "GiB were left where Docker keeps images" in await log_of(bench, handle)


async def test_an_image_that_is_too_large_is_not_kept(docker: DockerBench) -> None:
    recipe = replace(of(docker, "RUN true"), max_bytes=1 << 20)
    handle, end = await build(docker, recipe)
    assert (end.exit_code, end.cause) == (1, Cause.START_FAILED)
    assert "at most 0.0 GiB are allowed" in await log_of(docker, handle)
    assert await docker.engine.find_image("abc") is None


async def test_files_lie_beside_the_lines_of_a_recipe(docker: DockerBench) -> None:
    recipe = replace(
        docker.recipe("cp requirements.txt /r"), files={"requirements.txt": "six==1.16\n"}
    )
    assert (await build(docker, recipe))[1].exit_code == 0
    image = await docker.engine.find_image("abc")
    handle = await start(docker.engine, replace(task("t", "cat /r"), image=str(image)))
    await end_of(docker.engine, "t")
    assert await text_of(docker.engine, handle) == "six==1.16\n"


async def test_an_image_is_sent_to_a_registry_and_is_there(
    docker: DockerBench, tmp_path: Path
) -> None:
    with registry(tmp_path, password="w0rd") as address:
        reference = f"{address}/team/made:1"
        login = RegistryLogin(username="ada", password="w0rd")
        recipe = replace(of(docker, "RUN true"), push=Push(reference=reference, login=login))
        handle, end = await build(docker, recipe)
        text = await log_of(docker, handle)
        assert end.exit_code == 0, text
        assert "digest: sha256:" in text
        assert "w0rd" not in text
        assert reference not in docker.daemon.docker(
            "images", "--format", "{{.Repository}}:{{.Tag}}"
        )
        facts = await docker.engine.inspect_image(reference, login=login)
        assert facts.packages["python"]
        docker.daemon.docker("rmi", reference)


async def test_a_registry_that_refuses_is_told_in_words_and_the_image_stays(
    docker: DockerBench, tmp_path: Path
) -> None:
    with registry(tmp_path, password="w0rd") as address:
        push = Push(reference=f"{address}/team/made:1")
        handle, end = await build(docker, replace(of(docker, "RUN true"), push=push))
        assert end.cause is Cause.START_FAILED
        assert "--password-stdin" in await log_of(docker, handle)
        assert await docker.engine.find_image("abc")


async def test_no_image_here_loses_its_name_to_one_that_is_sent(
    docker: DockerBench, tmp_path: Path
) -> None:
    with registry(tmp_path) as address:
        victim = f"{address}/team/base:1"
        docker.daemon.docker("tag", IMAGE, victim)
        before = docker.daemon.docker("images", "-q", victim)
        recipe = replace(of(docker, "RUN touch /evil"), push=Push(reference=victim))
        handle, end = await build(docker, recipe)
        assert end.cause is Cause.START_FAILED
        assert "send it under another tag" in await log_of(docker, handle)
        assert docker.daemon.docker("images", "-q", victim) == before
        docker.daemon.docker("rmi", victim)


async def test_nothing_starts_from_a_name_while_an_image_is_sent_under_it(
    docker: DockerBench, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with registry(closed, password="w0rd") as address:
        name = f"{address}/team/base:1"
        recipe = replace(of(docker, "RUN touch /evil"), push=Push(reference=name))
        handles = [handle async for handle in docker.engine.build("build-1", recipe)]
        async for chunk in docker.engine.logs(handles[0], follow=True):
            if b"sending the image" in chunk.data:
                break
        victim = await start(docker.engine, replace(task("t", "ls /evil"), image=name))
        await end_of(docker.engine, "build-1")
        assert (await end_of(docker.engine, "t")).cause is Cause.START_FAILED
        assert "pulling" in await text_of(docker.engine, victim), "it asks the registry"


async def test_an_archive_is_loaded_under_our_name_alone(
    docker: DockerBench,
) -> None:
    victim = f"kpl-test/victim-{docker.settings.instance}:1"
    docker.daemon.docker("tag", IMAGE, victim)
    before = docker.daemon.docker("images", "-q", victim)
    await build(docker, replace(of(docker, "RUN touch /evil"), digest="evil"))
    made = await docker.engine.find_image("evil")
    assert made is not None
    docker.daemon.docker("tag", made, victim)
    target = docker.store / "image.tar"
    docker.daemon.docker("save", "-o", str(target), victim)
    docker.daemon.docker("tag", before.strip(), victim)
    recipe = replace(docker.recipe(), archive=str(target))
    handle, end = await build(docker, recipe, name="build-2")
    assert end.exit_code == 0, await log_of(docker, handle)
    assert await docker.engine.find_image("abc")
    assert docker.daemon.docker("images", "-q", victim) == before
    docker.daemon.docker("rmi", victim)
    look = await start(
        docker.engine,
        replace(task("t", "ls /evil"), image=f"{await docker.engine.find_image('abc')}"),
    )
    await end_of(docker.engine, "t")
    assert await text_of(docker.engine, look) == "/evil\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.txt": "x"}, "it has no manifest.json"),
        ({"manifest.json": "[{}, {}]"}, "it holds 2 images"),
        ({"manifest.json": "nonsense"}, "no archive that can be read"),
    ],
)
async def test_a_tar_that_is_no_image_is_refused(
    docker: DockerBench, files: dict[str, str], words: str
) -> None:
    recipe = replace(docker.recipe(), archive=packed(docker, "image.tar", files))
    handle, end = await build(docker, recipe)
    assert end.cause is Cause.START_FAILED
    assert words in await log_of(docker, handle)


async def test_each_stage_gets_what_the_administrator_says_of_builds(
    daemon: TestDaemon, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("our own certificates\n")
    options: dict[str, object] = {
        "build_arguments": {"PIP_INDEX_URL": "http://index"},
        "ca_bundle": str(bundle),
    }
    look = 'RUN echo "$PIP_INDEX_URL"; cat /etc/ssl/certs/ca-certificates.crt'
    async with docker_bench(tmp_path, daemon, options) as bench:
        recipe = of(
            bench, look, f"FROM {IMAGE}", look, "FROM scratch", "COPY --from=1 /etc/hostname /"
        )
        handle, end = await build(bench, recipe)
        text = await log_of(bench, handle)
        assert end.exit_code == 0, text
        assert text.count("http://index\nour own certificates\n") == 2
