"""Names of images: those that mean the same image to a daemon are one."""

from __future__ import annotations

import pytest

from kpl_lab.formats.image_reference import familiar, registry_of


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("python:3.11", "python:3.11"),
        ("docker.io/python:3.11", "python:3.11"),
        ("docker.io/library/python:3.11", "python:3.11"),
        ("index.docker.io/library/python", "python"),
        ("library/python", "python"),
        ("library/team/python", "library/team/python"),
        ("docker.io/team/python@sha256:00", "team/python@sha256:00"),
        ("registry.example/docker.io/python", "registry.example/docker.io/python"),
        ("docker.io.example/python", "docker.io.example/python"),
    ],
)
def test_what_docker_adds_by_itself_is_left_out(reference: str, name: str) -> None:
    assert familiar(reference) == name


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("python:3.11", None),
        ("kpl-lab/base:1", None),
        ("docker.io/kpl-lab/base:1", "docker.io"),
        ("localhost/base", "localhost"),
        ("base:5000/base", "base:5000"),
    ],
)
def test_a_registry_is_named_by_a_dot_a_port_or_as_this_machine(
    reference: str, registry: str | None
) -> None:
    assert registry_of(reference) == registry
