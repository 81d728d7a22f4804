"""Looking into images: what is found, what is refused and why, with a real daemon and registry."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kpl_lab.engines.running.looking import packages_of
from kpl_lab.engines.spec import Dockerfile, RegistryLogin
from kpl_lab.errors import EngineError
from tests.engines.docker_harness import IMAGE, DockerBench, registry
from tests.engines.harness import end_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
ADA = RegistryLogin(username="ada", password="open sesame")
OTHER = {"amd64": "arm64", "arm64": "amd64"}


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def loaded(docker: DockerBench, folder: Path, name: str, architecture: str) -> str:
    """Make an image of a single file, for a kind of machine; return its reference."""
    reference = f"{name}:{docker.settings.instance}"
    layer = packed({name: docker.settings.instance.encode()})
    diff = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    tar = folder / "image.tar"
    tar.write_bytes(
        packed(
            {
                "manifest.json": json.dumps(manifest).encode(),
                "config.json": json.dumps(config).encode(),
                "layer.tar": layer,
            }
        )
    )
    docker.daemon.docker("load", "-q", "-i", str(tar))
    return reference


def machine_of(docker: DockerBench) -> str:
    return docker.daemon.docker("version", "--format", "{{.Server.Arch}}").strip()


@contextlib.contextmanager
def pushed(docker: DockerBench, address: str, login: RegistryLogin | None = None) -> Iterator[str]:
    """Give the reference of the base in a registry, which the daemon itself has not."""
    reference = f"{address}/{docker.settings.instance}/base:1"
    docker.daemon.docker("tag", IMAGE, reference)
    if login is not None:
        docker.daemon.docker("login", "-u", login.username, "-p", login.password, address)
    try:
        docker.daemon.docker("push", "-q", reference)
        docker.daemon.docker("rmi", reference)
        if login is not None:
            docker.daemon.docker("logout", address)
        yield reference
    finally:
        with contextlib.suppress(Exception):
            docker.daemon.docker("rmi", "-f", reference)


@pytest.fixture(autouse=True)
def needs_registry() -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry to pull from")


async def refusal(docker: DockerBench, reference: str, login: RegistryLogin | None = None) -> str:
    with pytest.raises(EngineError) as caught:
        await docker.engine.inspect_image(reference, login=login)
    assert caught.value.message.endswith((".", ")."))
    return caught.value.code


async def test_a_remote_image_is_pulled_and_its_packages_are_read(
    docker: DockerBench, tmp_path: Path
) -> None:
    with registry(tmp_path) as address, pushed(docker, address) as reference:
        found = await docker.engine.inspect_image(reference)
        assert found.packages["python"].startswith("3.11")
        assert found.digest is not None
        assert found.digest.startswith("sha256:")
        assert found.architecture in OTHER
        assert (found.size_bytes or 0) > 50_000_000
        # By its digest it is the same.
        by_digest = f"{reference.rpartition(':')[0]}@{found.digest}"
        assert (await docker.engine.inspect_image(by_digest)).packages == found.packages


async def test_a_password_opens_a_registry(docker: DockerBench, tmp_path: Path) -> None:
    with (
        registry(tmp_path, password=ADA.password) as address,
        pushed(docker, address, ADA) as reference,
    ):
        assert await refusal(docker, reference) == "registry_denied"
        wrong = RegistryLogin(username="ada", password="guess")
        assert await refusal(docker, reference, wrong) == "registry_denied"
        assert (await docker.engine.inspect_image(reference, login=ADA)).packages
        # That the daemon has it by now opens it for nobody else.
        assert await refusal(docker, reference, wrong) == "registry_denied"


async def test_what_cannot_be_had_says_why(docker: DockerBench, tmp_path: Path) -> None:
    assert await refusal(docker, "127.0.0.1:9/nothing:1") == "registry_unreachable"
    with registry(tmp_path) as address, pushed(docker, address) as reference:
        assert await refusal(docker, f"{address}/nothing:1") == "image_missing"
        assert await refusal(docker, reference.replace(":1", ":2")) == "image_missing"
        lost = f"{reference.rpartition(':')[0]}@sha256:{'0' * 64}"
        assert await refusal(docker, lost) == "image_missing"


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Give the address of a server that answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Busy(BaseHTTPRequestHandler):
    """A registry that has given out enough, as Docker Hub says it."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 429)
        said = (
            b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your limit."}]}'
        )
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    def log_message(self, *_: object) -> None: ...


async def test_a_registry_that_has_given_out_enough_is_told_as_such(docker: DockerBench) -> None:
    with served(Busy) as address:
        assert await refusal(docker, f"{address}/thing:1") == "registry_rate_limited"


class Liar(Busy):
    """A web server that is no registry, and has a page for every question."""

    def answer(self) -> None:
        said = b"<html>hello</html>"
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("Docker-Content-Digest", f"sha256:{'a' * 64}")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)


async def test_a_registry_that_answers_nonsense_is_told_as_such(docker: DockerBench) -> None:
    with served(Liar) as address:
        assert await refusal(docker, f"{address}/thing:1") == "registry_broken"


async def test_an_image_of_two_registries_has_the_digest_of_each(
    docker: DockerBench, tmp_path: Path
) -> None:
    local = await docker.engine.inspect_image(IMAGE)
    with registry(tmp_path) as address, pushed(docker, address) as reference:
        found = await docker.engine.inspect_image(reference)
        assert found.packages == local.packages
        assert found.digest != local.digest
        by_digest = f"{reference.rpartition(':')[0]}@{found.digest}"
        docker.daemon.docker("rmi", reference)
        assert (await docker.engine.inspect_image(by_digest)).digest == found.digest
        docker.daemon.docker("rmi", by_digest)


async def test_an_image_for_another_machine_is_refused(docker: DockerBench, tmp_path: Path) -> None:
    reference = loaded(docker, tmp_path, "other", OTHER[machine_of(docker)])
    try:
        assert await refusal(docker, reference) == "wrong_architecture"
    finally:
        docker.daemon.docker("rmi", "-f", reference)


async def test_an_image_without_a_shell_is_refused_and_nothing_is_left(
    docker: DockerBench, tmp_path: Path
) -> None:
    reference = loaded(docker, tmp_path, "empty", machine_of(docker))
    try:
        with pytest.raises(EngineError, match=r"it has no /bin/sh.*; build it on") as caught:
            await docker.engine.inspect_image(reference)
        assert caught.value.code == "image_unusable"
        assert "-look-" not in docker.daemon.docker("ps", "-a", "--format", "{{.Names}}")
    finally:
        docker.daemon.docker("rmi", "-f", reference)


async def test_an_image_that_is_for_root_alone_is_refused_with_what_to_do(
    docker: DockerBench,
) -> None:
    text = f'FROM {IMAGE}\nRUN chmod 0700 "$(readlink -f /bin/sh)"\n'
    recipe = docker.recipe(dockerfile=Dockerfile(text=text))
    _ = [handle async for handle in docker.engine.build("b", recipe)]
    await end_of(docker.engine, "b")
    image = await docker.engine.find_image("abc")
    assert image is not None
    with pytest.raises(EngineError, match=r"nobody but root may run its /bin/sh.*chmod"):
        await docker.engine.inspect_image(image)


@pytest.mark.parametrize(
    ("said", "packages"),
    [
        (b"", {}),
        (b"hello\n", {}),
        (b"[1, 2]\n", {}),
        (b'{"python": 3, "Pip_X": "1.0"}\n', {"pip-x": "1.0"}),
        (b'a line of its own\n{"python": "3.11.2"}\n', {"python": "3.11.2"}),
        (json.dumps({"x" * 200: "1", "y": "1" * 200}).encode(), {}),
    ],
)
def test_an_image_that_lies_is_not_believed(said: bytes, packages: dict[str, str]) -> None:
    assert packages_of(said) == packages
