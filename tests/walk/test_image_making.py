"""Images that users make: built, used by a task and a server, stopped, saved, loaded, sent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.docker_harness import IMAGE, TestDaemon, registry
from tests.installation import Installation, wait_for
from tests.walk.conftest import Terminal, shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def installation(request: pytest.FixtureRequest) -> Installation:
    """An installation on each engine: what users do is the same."""
    found: Installation = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
def is_docker(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["installation"] == "docker")


@pytest.fixture(autouse=True)
def no_image_left(terminal: Terminal) -> Iterator[None]:
    """Take the images of a test out of the catalog again."""
    yield
    for one in terminal.done("image", "list")["items"]:
        if one["source"] != "file":
            terminal.done("image", "delete", one["id"], "--yes")


def imports(terminal: Terminal, image: str, module: str) -> Any:
    """Run a task in an image that imports a module."""
    manifest = f"version: 1\nimage: {{from_image: {image}}}\ntrain: {{cmd: python3 main.py}}\n"
    code = {"environment.yml": manifest, "main.py": f"import {module}; print({module}.__file__)"}
    return terminal.done("task", "submit", "--code", terminal.write("code", code), "--wait")


def test_requirements_become_an_image_that_a_task_runs_in(terminal: Terminal) -> None:
    folder = terminal.write("mine", {"requirements.txt": "tomli-w\n"})
    made = terminal.done("image", "build", "-t", "mine", folder, seconds=400)
    assert (made["name"], made["state"], made["source"]) == ("mine", "ready", "built")
    assert made["packages"]["tomli-w"]
    assert made["serves_notebooks"]
    assert imports(terminal, "mine", "tomli_w")["state"] == "succeeded"
    (newest, *_) = terminal.done("build", "list")["items"]
    assert (newest["name"], newest["state"]) == ("mine", "succeeded")
    assert "tomli" in terminal.done("build", "logs", newest["id"])["text"]


def test_the_same_is_there_at_once(terminal: Terminal) -> None:
    folder = terminal.write("mine", {"requirements.txt": "tomli-w\n"})
    terminal.done("image", "build", "-t", "again", folder, seconds=400)
    assert terminal.done("build", "list")["items"][0]["cached"]


def test_a_build_that_fails_shows_its_log_and_why(terminal: Terminal) -> None:
    folder = terminal.write("mine", {"requirements.txt": "no-such-package-of-kpl-lab==1\n"})
    done = terminal.installation.run("kpl", "image", "build", "-t", "mine", str(folder))
    assert done.returncode == 1
    assert "No matching distribution found" in done.stderr
    assert "pip found no version that satisfies no-such-package-of-kpl-lab==1" in done.stderr


def test_a_build_is_stopped(terminal: Terminal) -> None:
    text = "version: 1\nimage:\n  from_image: python:3.11\n  runs: [echo up, sleep 600]\n"
    folder = terminal.write("mine", {"environment.yml": text})
    made = terminal.done("image", "build", "-t", "mine", folder, "--no-wait")
    wait_for(
        lambda: "up\n" in terminal.done("build", "logs", made["id"])["text"], "the build to begin"
    )
    assert "You are building 'mine' already" in terminal.refused(
        "image", "build", "-t", "mine", folder
    )
    assert terminal.done("build", "stop", made["id"])["state"] == "stopped"


def test_a_folder_without_a_file_to_build_from_is_named(terminal: Terminal) -> None:
    said = terminal.refused("image", "build", "-t", "mine", terminal.write("mine", {"a": ""}))
    assert "has none of Dockerfile, environment.yml, requirements.txt" in said


def test_a_dockerfile_is_built_with_a_secret_or_refused_with_what_to_do(
    terminal: Terminal, is_docker: bool
) -> None:
    text = textwrap.dedent("""\
        # syntax=docker/dockerfile:1
        FROM python:3.11
        COPY note.txt /opt/note.txt
        RUN --mount=type=secret,id=pw,uid=1000 test "$(wc -c < /run/secrets/pw)" = 11
        """)
    files = {"Dockerfile": text, "note.txt": "hello", "left": "", ".dockerignore": "left\n"}
    folder = terminal.write("mine", files)
    secret = terminal.folder / "pw"
    secret.write_text("s3cr3t-word")
    words = ("image", "build", "-t", "mine", folder, "--secret", f"id=pw,src={secret}")
    if not is_docker:
        assert "give environment.yml or requirements.txt" in terminal.refused(*words)
        return
    made = terminal.done(*words, seconds=400)
    assert made["serves_notebooks"]
    build = terminal.done("build", "list")["items"][0]
    log = terminal.done("build", "logs", build["id"])["text"]
    assert "RUN --mount=type=secret" in log
    assert "s3cr3t-word" not in log
    home = terminal.installation.home
    kept = [path for path in (home / "docker").rglob("*.json") if "s3cr3t-word" in path.read_text()]
    assert kept == []
    server = terminal.done("server", "start", "--image", "mine")
    assert (server["state"], server["image"]) == ("running", "mine")
    terminal.done("server", "stop")


def test_an_image_is_sent_to_a_registry_and_found_there(
    terminal: Terminal, is_docker: bool, tmp_path: Path
) -> None:
    if not is_docker:
        pytest.skip("the local engine has environments and no images")
    folder = terminal.write("mine", {"Dockerfile": "FROM python:3.11\nLABEL x=y\n"})
    with registry(tmp_path) as address:
        reference = f"{address}/team/mine:1"
        terminal.done("image", "build", "-t", "mine", folder, "--push", reference, seconds=400)
        found = terminal.done("image", "register", "theirs", reference)
        assert found["state"] == "ready"
        assert found["digest"].startswith("sha256:")


def test_an_archive_is_loaded(
    terminal: Terminal, is_docker: bool, request: pytest.FixtureRequest
) -> None:
    archive = terminal.folder / "image.tar"
    archive.write_bytes(b"x" * 2048)
    if not is_docker:
        assert "give environment.yml or requirements.txt" in terminal.refused(
            "image", "load", "mine", archive
        )
        return
    assert "no archive that can be read" in terminal.refused("image", "load", "mine", archive)
    daemon: TestDaemon = request.getfixturevalue("daemon")
    base = terminal.done("image", "show", "base")["reference"]
    daemon.docker("save", "-o", str(archive), base)
    made = terminal.done("image", "load", "mine", archive, seconds=400)
    assert (made["source"], made["serves_notebooks"]) == ("loaded", True)


def bring_wheel(installation: Installation, *, engine: str) -> None:
    """Put a package into the administrator's home: not every server reaches an index."""
    folder = installation.home / engine / "homes" / "admin" / "wheels"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, "tomli-w"], check=True)


def json_of(said: str) -> Any:
    """Return what a command has printed as JSON; the prompt follows."""
    made, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    return made


def test_images_are_built_loaded_and_sent_from_a_terminal_of_a_server(
    terminal: Terminal, is_docker: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if not is_docker:
        pytest.skip("the local engine has environments and no images")
    daemon: TestDaemon = request.getfixturevalue("daemon")
    home = terminal.installation.user_home
    terminal.done("server", "start", "--image", "base")
    daemon.docker("save", "-o", str(home / "image.tar"), IMAGE)
    (home / "image.tar").chmod(0o644)
    dockerfile = r"ARG who\nFROM base\nARG who\nCOPY note.txt /opt/\nRUN test $who = ada"
    with registry(tmp_path) as address, shell(terminal.installation) as notebook:
        assert "not found" in notebook.run("docker ps; test ! -e /var/run/docker.sock")
        notebook.run(f"mkdir made; cd made; echo hi >note.txt; printf '{dockerfile}' >My.file")
        words = f"-f My.file --build-arg who=ada --push {address}/team/made:1 . --json"
        built = json_of(notebook.run(f"kpl image build -t made {words}"))
        words = f"~/image.tar --push {address}/team/given:1 --json"
        loaded = json_of(notebook.run(f"kpl image load given {words}"))
        found = [
            json_of(notebook.run(f"kpl image register {one}-again {address}/team/{one}:1 --json"))
            for one in ("made", "given")
        ]
    terminal.done("server", "stop")
    assert [(one["state"], one["source"]) for one in (built, loaded)] == [
        ("ready", "built"),
        ("ready", "loaded"),
    ]
    assert [(one["state"], one["source"]) for one in found] == [("ready", "registered")] * 2
    assert imports(terminal, "made", "json")["state"] == "succeeded"


def test_what_was_installed_in_a_server_is_saved(
    terminal: Terminal, is_docker: bool, tmp_path: Path
) -> None:
    assert "in a terminal of its JupyterLab" in terminal.refused("image", "save", "mine")
    terminal.done("server", "start", "--image", "base")
    bring_wheel(terminal.installation, engine="docker" if is_docker else "local")
    with shell(terminal.installation) as notebook, contextlib.ExitStack() as stack:
        address = stack.enter_context(registry(tmp_path)) if is_docker else ""
        push = f" --push {address}/team/mine:1" if is_docker else ""
        assert "Nothing was installed" in notebook.run("kpl image save mine")
        said = notebook.run("pip install --no-index --find-links ~/wheels tomli-w")
        assert "Successfully installed" in said
        made = json_of(notebook.run(f"kpl image save mine --json{push}"))
        if is_docker:
            words = f"theirs {address}/team/mine:1 --json"
            assert json_of(notebook.run(f"kpl image register {words}"))["packages"]["tomli-w"]
    assert (made["state"], made["source"]) == ("ready", "saved")
    terminal.done("server", "stop")
    assert imports(terminal, "mine", "tomli_w")["state"] == "succeeded"
    events = terminal.done("server", "history")["items"]
    assert any(e["data"].get("event") == "SaveImage" for one in events for e in one["events"])
