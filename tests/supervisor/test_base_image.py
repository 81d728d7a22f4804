"""The base image: found, built, built again, or refused in words, on a real daemon.

Small Dockerfiles stand for the real one, which ``tests/images`` builds.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.errors import KplError
from kpl_lab.settings import load
from kpl_lab.supervisor.base_image import Wanted, ensure_base_image
from tests.engines.docker_harness import IMAGE, TestDaemon

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SMALL = """ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
COPY wheels/ /wheels/
"""
NOWHERE = "127.0.0.1:9/nothing:1"


@dataclass
class Machine:
    """A home, a folder of a Dockerfile, a name of its own, and what was said."""

    root: Path
    daemon: TestDaemon
    reference: str
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / "image"

    @property
    def log(self) -> Path:
        return self.root / "home" / "logs" / "base-image.log"

    def dockerfile(self, *more: str) -> None:
        """Write a small one with further lines."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "Dockerfile").write_text(SMALL + "".join(f"{line}\n" for line in more))

    def ensure(self, base: str | None = IMAGE, **options: Any) -> str:
        """Do what ``kpl-lab up`` does; ``said`` is of this call alone."""
        environment = {"KPL_HOME": str(self.root / "home"), "KPL_ENGINE": "docker"}
        settings = load(environment | ({"KPL_BASE_IMAGE": base} if base else {}))
        chosen = {"socket": str(self.daemon.socket), "base_image": self.reference, **options}
        self.said.clear()
        wanted = Wanted(self.reference, self.folder)
        return ensure_base_image(settings, DockerOptions(**chosen), self.said.append, wanted)

    def refused(self, base: str | None = IMAGE, **options: Any) -> KplError:
        with pytest.raises(KplError) as caught:
            self.ensure(base, **options)
        return caught.value

    def id(self, reference: str | None = None) -> str:
        """Return an image's id; empty where there is none."""
        return self.daemon.docker("images", "-q", "--no-trunc", reference or self.reference).strip()

    def labels(self) -> dict[str, str]:
        text = self.daemon.docker("inspect", "-f", "{{json .Config.Labels}}", self.reference)
        return dict(json.loads(text))

    def run(self, *command: str) -> str:
        return self.daemon.docker("run", "--rm", "--network=none", self.reference, *command)


@pytest.fixture
def machine(tmp_path: Path, daemon: TestDaemon) -> Iterator[Machine]:
    found = Machine(tmp_path, daemon, f"kpl-test/own-{secrets.token_hex(4)}:1")
    found.dockerfile()
    yield found
    name = found.reference.partition(":")[0]
    for one in daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}", name).split():
        daemon.docker("rmi", "-f", one)


def test_one_is_built_that_holds_this_very_program(machine: Machine) -> None:
    assert machine.ensure() == machine.reference
    assert machine.said[0].startswith("there is no base image of this version yet: building")
    assert machine.said[-1] == f"{machine.reference} is ready"
    assert machine.run("ls", "/wheels").startswith("kpl_lab-0.1.0-")
    assert machine.labels()["kpl.image.base"] == IMAGE


def test_what_is_there_is_used_without_a_word(machine: Machine) -> None:
    machine.ensure()
    before = machine.id()
    assert machine.ensure() == machine.reference
    assert machine.ensure(base=None) == machine.reference
    assert (machine.id(), machine.said) == (before, [])


def test_one_of_another_content_is_built_anew_and_the_old_one_goes(machine: Machine) -> None:
    machine.ensure()
    before = machine.id()
    machine.dockerfile("RUN echo two >/two")
    machine.ensure()
    assert "another state of this version" in machine.said[0]
    assert machine.run("cat", "/two") == "two\n"
    assert before not in machine.daemon.docker("images", "-aq", "--no-trunc").split()


def test_an_old_one_that_something_stands_on_stays(machine: Machine) -> None:
    machine.ensure()
    before = machine.id()
    child = machine.reference.replace(":1", ":child")
    subprocess.run(
        ["docker", "-H", f"unix://{machine.daemon.socket}", "build", "-q", "-t", child, "-"],
        input=f"FROM {machine.reference}\nRUN true\n", text=True, check=True,
        capture_output=True, env={"DOCKER_BUILDKIT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )  # fmt: skip
    machine.dockerfile("RUN true")
    machine.ensure()
    assert machine.said[-1] == "the former base image stays: something stands on it"
    assert machine.id() != before
    assert machine.id(child)


def test_one_that_stands_on_another_image_than_asked_for_is_built_anew(machine: Machine) -> None:
    other = machine.reference.replace(":1", ":other")
    machine.daemon.docker("tag", IMAGE, other)
    machine.ensure()
    machine.ensure(base=other)
    assert f"stands on {IMAGE}" in machine.said[0]
    assert machine.labels()["kpl.image.base"] == other


def test_one_that_somebody_else_has_made_is_used_as_it_is(machine: Machine) -> None:
    machine.daemon.docker("tag", IMAGE, machine.reference)
    before = machine.id()
    assert machine.ensure() == machine.reference
    assert machine.id() == before
    assert machine.said == [f"{machine.reference} was not made by `kpl-lab`; it is used as it is"]


def test_one_that_the_administrator_names_is_used_as_it_is(machine: Machine) -> None:
    assert machine.ensure(base_image=IMAGE) == IMAGE
    assert machine.id() == ""


def test_one_that_the_administrator_names_and_nobody_has_is_refused(machine: Machine) -> None:
    error = machine.refused(base_image=NOWHERE)
    assert error.code == "no_base_image"
    assert NOWHERE in error.message
    assert "Load or pull it, or remove that setting" in error.message


def test_what_scripts_tell_is_passed_on_and_the_rest_is_kept(machine: Machine) -> None:
    machine.dockerfile("RUN echo '== installing everything'; echo details; printf unended")
    machine.ensure()
    assert "installing everything" in machine.said
    assert "details" not in " ".join(machine.said)
    assert "\ndetails\n" in machine.log.read_text()


def test_arguments_certificates_and_network_are_those_of_the_options(machine: Machine) -> None:
    bundle = machine.root / "ca.crt"
    bundle.write_text("our own certificates\n")
    machine.dockerfile(
        "ARG PIP_INDEX_URL",
        "COPY certificates/ /certificates/",
        "RUN echo $PIP_INDEX_URL $(ls /sys/class/net) >/told; cat /certificates/* >>/told",
    )
    machine.ensure(
        build_arguments={"PIP_INDEX_URL": "http://index"},
        ca_bundle=str(bundle),
        build_network="none",
    )
    assert machine.run("cat", "/told") == "http://index lo\nour own certificates\n"


def test_a_failed_build_says_its_last_lines_and_where_the_rest_is(machine: Machine) -> None:
    machine.dockerfile("RUN echo early; for i in $(seq 40); do echo line $i; done; exit 3")
    error = machine.refused()
    assert error.code == "image_build_failed"
    assert "line 40" in error.message
    assert "\nline 20\n" not in error.message
    assert "non-zero code: 3" in error.message
    assert str(machine.log) in error.message
    assert "\nearly\n" in machine.log.read_text()
    assert machine.id() == ""


def test_a_failed_build_leaves_the_image_that_was_there(machine: Machine) -> None:
    machine.ensure()
    before = machine.id()
    machine.dockerfile("RUN false")
    machine.refused()
    assert machine.id() == before


def test_a_full_disk_is_told_as_such(machine: Machine) -> None:
    machine.dockerfile("RUN echo 'write /x: no space left on device' >&2; exit 1")
    error = machine.refused()
    assert error.code == "storage_full"
    assert "docker system df" in error.message


def test_an_image_to_stand_on_that_cannot_be_pulled_is_named(machine: Machine) -> None:
    error = machine.refused(base=NOWHERE)
    assert error.code == "no_base_image"
    assert f"built on {NOWHERE}, which cannot be had" in error.message
    assert "KPL_BASE_IMAGE" in error.message


def test_nothing_is_pulled_where_that_is_off(machine: Machine) -> None:
    error = machine.refused(base=NOWHERE, pull=False)
    assert "pulling is off (DockerOptions.pull)" in error.message


def test_certificates_that_cannot_be_read_are_named(machine: Machine) -> None:
    error = machine.refused(ca_bundle=str(machine.root / "none.crt"))
    assert error.code == "image_build_failed"
    assert "none.crt" in error.message


def test_a_daemon_that_does_not_answer_is_told_with_the_next_step(machine: Machine) -> None:
    error = machine.refused(socket=str(machine.root / "none.sock"))
    assert error.code == "docker_unreachable"
    assert "DockerOptions.socket" in error.message
