"""What the daemon's builder is given for a recipe: a tar with a Dockerfile, and parameters."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.engines.running.checks import check_segment, check_source
from kpl_lab.engines.running.dockerfiles import CA_FILE, check_base, dockerfile
from kpl_lab.engines.spec import Recipe

_PERIOD = 100_000
_MIB = 1 << 20
# A name that no context has: it would take the place of a user's own file.
DOCKERFILE = ".kpl-lab.Dockerfile"


def check(recipe: Recipe, options: DockerOptions, storage: Path) -> None:
    """Refuse a recipe that could reach outside of what it is about.

    Raises
    ------
    EngineError
        A name that is no plain one, a reference that is none, a file outside the store.
    """
    for name in recipe.files:
        check_segment(name, "file of a build")
    if recipe.push is not None:
        check_base(recipe.push.reference)
    archive = recipe.archive or (recipe.dockerfile.context if recipe.dockerfile else None)
    if archive is not None:
        check_source(Path(archive), storage)
    if recipe.dockerfile is None and recipe.archive is None:
        dockerfile(recipe, options)


def write_context(recipe: Recipe, options: DockerOptions, packed: IO[bytes]) -> None:
    """Write the tar that the builder is given, and go back to its begin.

    What a user sent comes first and as it is: the daemon unpacks it in a cage of its own.

    Raises
    ------
    OSError, tarfile.TarError
        The file of certificates, or what the user sent, cannot be read.
    """
    files = {DOCKERFILE: dockerfile(recipe, options).encode()}
    files |= {name: text.encode() for name, text in recipe.files.items()}
    if options.ca_bundle:
        files[CA_FILE] = Path(options.ca_bundle).read_bytes()
    context = recipe.dockerfile.context if recipe.dockerfile else None
    if context is not None:
        with Path(context).open("rb") as sent:
            shutil.copyfileobj(sent, packed)
        packed.seek(0)
    with tarfile.open(fileobj=packed, mode="w" if context is None else "a") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    packed.seek(0)


def parameters(recipe: Recipe, options: DockerOptions, installation: str) -> dict[str, str]:
    """Return what the builder is told beside the context: name, labels, limits, network."""
    memory = recipe.limits.memory_mb * _MIB
    labels = {
        names.IMAGE_INSTALLATION: installation,
        names.IMAGE_DIGEST: recipe.digest,
        names.IMAGE_WORKSPACE: recipe.workspace,
    }
    asked = recipe.dockerfile
    given: Mapping[str, str] = {} if asked is None else asked.arguments
    found = {
        "t": names.image(installation, recipe.digest),
        "dockerfile": DOCKERFILE,
        "labels": json.dumps(labels),
        "rm": "1",
        "forcerm": "1",
        "memory": str(memory),
        "memswap": str(memory),
        "cpuperiod": str(_PERIOD),
        "cpuquota": str(int(recipe.limits.cpu * _PERIOD)),
        "buildargs": json.dumps({**options.build_arguments, **given}),
    }
    if options.build_network:
        found["networkmode"] = options.build_network
    if asked is not None and asked.target:
        found["target"] = asked.target
    if asked is not None and not asked.use_cache:
        found["nocache"] = "1"
    return found
