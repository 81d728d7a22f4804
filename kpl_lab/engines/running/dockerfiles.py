"""Dockerfiles as builders are given them, made of recipes; the same for every engine that has images."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from kpl_lab.engines.spec import Recipe
from kpl_lab.errors import EngineError

# What the distribution specification calls a reference, roughly: no space, no option.
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")
# A name that no context has: it would take the place of a user's own file.
CA_FILE = ".kpl-lab.ca.crt"
_CA_PLACE = "/etc/ssl/certs/ca-certificates.crt"
_FILES_PLACE = "/tmp/kpl-build"  # noqa: S108 (inside an image that is being made)
# As the platform has written it out: one line, in capitals; nothing is needed in an empty image.
_STAGE = re.compile(r"FROM (?!(?:--\S+ )*scratch\b)")


class BuildOptions(Protocol):
    """What an administrator says of builds."""

    @property
    def base_image(self) -> str:
        """What environments without a base stand on."""

    @property
    def build_arguments(self) -> Mapping[str, str]:
        """What every RUN line sees as variables."""

    @property
    def ca_bundle(self) -> str:
        """File of certificates that builds trust; empty: those of their base."""


def check_base(base: str) -> str:
    """Return a base image's reference, or refuse what would be more than that in a Dockerfile."""
    if not _REFERENCE.fullmatch(base):
        raise EngineError(
            f"{base!r} is no reference of an image; correct from_image in environment.yml.",
            code="no_image",
        )
    return base


def dockerfile(recipe: Recipe, options: BuildOptions) -> str:
    """Return the Dockerfile of a recipe: one RUN a line, in the form that takes it as it is.

    In a user's own, each stage begins with the administrator's arguments and certificates: without
    them its steps would reach no index where they are needed.
    """
    if recipe.dockerfile is not None:
        lines: list[str] = []
        for line in recipe.dockerfile.text.splitlines():
            lines.append(line)
            if _STAGE.match(line):
                lines += _from_administrator(options)
        return "\n".join(lines) + "\n"
    lines = [f"FROM {check_base(recipe.base or options.base_image)}"]
    lines += _from_administrator(options)
    go = ""
    if recipe.files:
        lines.append(f"COPY {json.dumps([*recipe.files, _FILES_PLACE + '/'])}")
        go = f"cd {_FILES_PLACE} && "
    lines += [f"RUN {json.dumps(['/bin/sh', '-c', go + line])}" for line in recipe.runs]
    return "\n".join(lines) + "\n"


def bases_of(recipe: Recipe, options: BuildOptions) -> Sequence[str]:
    """Return the images that a recipe stands on, each once."""
    if recipe.archive is not None:
        return []
    if recipe.dockerfile is not None:
        return list(dict.fromkeys(recipe.dockerfile.bases))
    return [check_base(recipe.base or options.base_image)]


def _from_administrator(options: BuildOptions) -> list[str]:
    lines = [f"ARG {name}" for name in sorted(options.build_arguments)]
    return [*lines, f"COPY {CA_FILE} {_CA_PLACE}"] if options.ca_bundle else lines
