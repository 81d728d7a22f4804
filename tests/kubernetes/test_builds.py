"""Images are built on a real cluster, by a builder without a privilege, and go to a real registry.

``KPL_REGISTRY`` names the registry as nodes and this machine reach it, ``KPL_BUILDER_IMAGE`` the image of the
builder. What the images stand on is in the registry as ``<registry>/base:bookworm``: a builder in a pod
does not see what a node has. ``KPL_INSECURE_REGISTRIES`` lists registries that are asked over plain HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import tarfile
import urllib.request
from collections.abc import AsyncIterator
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
from kpl_lab.errors import EngineError
from tests.engines.harness import end_of, limits, text_of
from tests.kubernetes.harness import (
    BASE,
    BUILDER_IMAGE,
    REGISTRY,
    Kubectl,
    KubernetesBench,
    kubernetes_bench,
)

SECRET = "RUN --mount=type=secret,id=pw "
SECONDS = 240.0
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not REGISTRY, reason="KPL_REGISTRY names no registry for built images"),
    pytest.mark.skipif(not BUILDER_IMAGE, reason="KPL_BUILDER_IMAGE names no image of the builder"),
]


@pytest.fixture
async def builds(kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[KubernetesBench]:
    """Give a runner that builds."""
    async with kubernetes_bench(tmp_path, kubectl) as found:
        yield found


def packed(bench: KubernetesBench, name: str, files: dict[str, str]) -> str:
    """Put a context into the store, as the platform does with what a user has sent."""
    path = bench.store / name
    with tarfile.open(path, "w") as tar:
        for one, text in files.items():
            info = tarfile.TarInfo(one)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return str(path)


def of(bench: KubernetesBench, *lines: str, **changes: object) -> Recipe:
    """Return a recipe of a Dockerfile on the base image."""
    text = "\n".join([f"FROM {BASE}", *lines]) + "\n"
    asked = Dockerfile(text=text, bases=(BASE,), **changes)  # type: ignore[arg-type]
    return replace(bench.recipe(), dockerfile=asked, limits=limits(memory_mb=1024))


async def build(
    bench: KubernetesBench, recipe: Recipe, name: str = "build-1"
) -> tuple[Handle, Replica]:
    """Build to the end."""
    handles = [handle async for handle in bench.engine.build(name, recipe)]
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return handles[-1], await end_of(bench.engine, name)
            except AssertionError:  # it takes longer than tests wait otherwise
                continue


async def in_image(bench: KubernetesBench, digest: str, path: str) -> str:
    """Return a file of an image that the registry has."""
    return await asyncio.to_thread(_read, bench.settings.instance, digest, path)


def _read(repository: str, tag: str, path: str) -> str:
    host, _, prefix = REGISTRY.partition("/")
    root = f"http://{host}/v2/{prefix + '/' if prefix else ''}{repository}"
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    asked = urllib.request.Request(f"{root}/manifests/{tag}", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        manifest = json.load(answer)
    for layer in reversed(manifest["layers"]):
        with urllib.request.urlopen(f"{root}/blobs/{layer['digest']}", timeout=60) as blob:
            whole = io.BytesIO(blob.read())
        with tarfile.open(fileobj=whole) as tar:
            for member in tar:
                if member.name.lstrip("./") == path:
                    found = tar.extractfile(member)
                    assert found is not None
                    return found.read().decode()
    raise AssertionError(f"{path} is in no layer")


async def test_lines_on_a_base_become_an_image_of_the_registry(builds: KubernetesBench) -> None:
    recipe = replace(
        builds.recipe(), runs=("echo $$ $(id -u) >/made", "id kpl || useradd -u 1000 kpl"),
        limits=limits(memory_mb=1024),
    )  # fmt: skip
    assert await builds.engine.find_image("abc") is None
    handle, end = await build(builds, recipe)
    assert (end.exit_code, end.cause) == (0, Cause.EXIT), await text_of(builds.engine, handle)
    assert await builds.engine.find_image("abc") == f"{REGISTRY}/{builds.settings.instance}:abc"
    assert await builds.engine.find_image("other") is None
    assert (await in_image(builds, "abc", "made")).endswith(" 0\n")


async def test_a_dockerfile_copies_from_its_context_and_takes_arguments(
    builds: KubernetesBench,
) -> None:
    lines = ("ARG WORD", "COPY a/one.txt /one.txt", "RUN echo $WORD > /two.txt && cat /one.txt")
    context = packed(builds, "context", {"a/one.txt": "one\n", "Dockerfile": "FROM nothing"})
    recipe = of(builds, *lines, context=context, arguments={"WORD": "two words"})
    handle, end = await build(builds, recipe)
    text = await text_of(builds.engine, handle)
    assert end.exit_code == 0, text
    assert "one\n" in text
    assert await in_image(builds, "abc", "one.txt") == "one\n"
    assert await in_image(builds, "abc", "two.txt") == "two words\n"


async def test_a_step_that_fails_is_told_with_its_exit_code(builds: KubernetesBench) -> None:
    handle, end = await build(builds, of(builds, "RUN echo grüße; exit 7"))
    text = await text_of(builds.engine, handle)
    assert (end.exit_code, end.cause) == (7, Cause.EXIT), text
    assert "grüße\n" in text
    assert "RUN echo" in text
    assert "exit status 7" in end.detail["error"]
    assert await builds.engine.find_image("abc") is None


async def test_a_base_that_no_registry_has_is_named(builds: KubernetesBench) -> None:
    base = f"{REGISTRY}/nobody/has:this"
    asked = Dockerfile(text=f"FROM {base}\n", bases=(base,))
    handle, end = await build(builds, replace(builds.recipe(), dockerfile=asked))
    assert (end.cause, end.exit_code) == (Cause.EXIT, 1)
    assert "nobody/has" in end.detail["error"]
    assert "nobody/has" in await text_of(builds.engine, handle)


async def test_a_secret_is_read_and_stays_in_no_layer_and_no_log(builds: KubernetesBench) -> None:
    line = SECRET + "sha256sum /run/secrets/pw > /sum && test ! -e /logins"
    handle, end = await build(builds, of(builds, line, secrets={"pw": "s3cr3t-word"}))
    text = await text_of(builds.engine, handle)
    assert end.exit_code == 0, text
    assert "s3cr3t-word" not in text
    assert len((await in_image(builds, "abc", "sum")).split()[0]) == 64
    with pytest.raises(AssertionError):
        await in_image(builds, "abc", "run/secrets/pw")


async def test_the_steps_see_no_login_of_a_registry(builds: KubernetesBench) -> None:
    """Not even those that their own pod sends the image with."""
    look = "RUN for p in /proc/[0-9]*; do ls $p/root/logins/push/push.json 2>/dev/null && exit 3; done; true"
    login = RegistryLogin(username="ada", password="p4ssw0rd")
    recipe = replace(of(builds, look), push=Push(reference=f"{REGISTRY}/sent/to:1", login=login))
    handle, end = await build(builds, recipe)
    text = await text_of(builds.engine, handle)
    assert end.exit_code == 0, text
    assert "p4ssw0rd" not in text
    assert await asyncio.to_thread(_has, "sent/to", "1")


def _has(repository: str, tag: str) -> bool:
    host, _, prefix = REGISTRY.partition("/")
    name = f"{prefix}/{repository}" if prefix else repository
    with urllib.request.urlopen(f"http://{host}/v2/{name}/tags/list", timeout=20) as answer:
        return f'"{tag}"' in answer.read().decode()


async def test_a_registry_that_does_not_answer_is_named(builds: KubernetesBench) -> None:
    recipe = replace(of(builds, "RUN true"), push=Push(reference="127.0.0.1:9/team/x:1"))
    _, end = await build(builds, recipe)
    assert end.cause == Cause.START_FAILED
    assert "127.0.0.1:9/team/x:1" in end.detail["error"]
    assert "connection refused" in end.detail["error"]


async def test_a_build_can_be_stopped(builds: KubernetesBench) -> None:
    handles = [
        h async for h in builds.engine.build("build-1", of(builds, "RUN echo up; sleep 600"))
    ]
    async with asyncio.timeout(SECONDS):
        async with contextlib.aclosing(builds.engine.logs(handles[-1], follow=True)) as stream:  # type: ignore[type-var]
            seen = b""
            async for chunk in stream:
                seen += chunk.data
                if b"\nup\n" in seen:
                    break
    await builds.engine.stop(handles[-1], grace_seconds=1)
    assert (await end_of(builds.engine, "build-1")).cause == Cause.STOPPED


async def test_a_build_ends_at_its_time_limit(builds: KubernetesBench) -> None:
    recipe = replace(of(builds, "RUN sleep 600"), time_limit_seconds=15)
    _, end = await build(builds, recipe)
    assert end.cause == Cause.TIME_LIMIT
    assert end.detail["limit_seconds"] == 15


async def test_an_archive_is_sent_to_the_registry(builds: KubernetesBench) -> None:
    path = builds.store / "saved.tar"
    await asyncio.to_thread(_save, path)
    recipe = replace(builds.recipe(), archive=str(path), limits=limits(memory_mb=512))
    handle, end = await build(builds, recipe)
    assert end.exit_code == 0, await text_of(builds.engine, handle)
    assert await in_image(builds, "abc", "hello") == "hi\n"


def _save(path: Path) -> None:
    """Write an image of one file as ``docker save`` does."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo("hello")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"hi\n"))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}  # fmt: skip
    manifest = [{"Config": "c.json", "RepoTags": ["any:1"], "Layers": ["l.tar"]}]
    files = {
        "l.tar": layer.getvalue(),
        "c.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


async def test_what_is_too_large_is_not_kept(builds: KubernetesBench) -> None:
    handle, end = await build(builds, replace(of(builds, "RUN true"), max_bytes=1 << 20))
    assert end.cause == Cause.START_FAILED, await text_of(builds.engine, handle)
    assert "at most 0.0 GiB are allowed" in end.detail["error"]
    assert await builds.engine.find_image("abc") is None


async def test_two_builds_do_not_make_the_same(builds: KubernetesBench) -> None:
    recipe = of(builds, "RUN sleep 600")
    assert [h async for h in builds.engine.build("build-1", recipe)]
    with pytest.raises(EngineError) as refused:
        assert [h async for h in builds.engine.build("build-2", recipe)]
    assert refused.value.code == "build_running"
