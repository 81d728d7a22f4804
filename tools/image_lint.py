"""What can be said of an image without building it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kpl_lab import __version__
from kpl_lab.supervisor.image_context import images_folder

BASE = "base"
FILES = ("Dockerfile", "README.md", "requirements.in", "requirements.txt", "smoke.py")
ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
LABELS = (
    "org.opencontainers.image.title",
    "org.opencontainers.image.description",
    "kpl.image.framework",
    "kpl.image.accelerator",
)
# What the classic builder knows, less what we do not want: ADD fetches, VOLUME hides.
WORDS = ("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN",
         "USER", "WORKDIR")  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(\s*;.*)?")
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")
# Of BuildKit alone; Debian's Docker has only the classic builder.
_NEWER = re.compile(r"--(mount|chmod|link|network|security)\b|<<")


def names() -> list[str]:
    """Return the images there are, the base first."""
    found = sorted(path.parent.name for path in images_folder().glob("*/Dockerfile"))
    return sorted(found, key=lambda name: name != BASE)


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile; ``line`` is where it begins."""

    line: int
    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """Return a Dockerfile's instructions, with continued lines put together."""
    found: list[Instruction] = []
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        first = first if begun else number
        begun += line.strip().removesuffix("\\")
        if not line.rstrip().endswith("\\"):
            word, _, rest = begun.partition(" ")
            found.append(Instruction(first, word, rest.strip()))
            begun = ""
    return found


def stages(found: list[Instruction]) -> list[list[Instruction]]:
    """Return the instructions of each stage; what comes before the first is left out."""
    cut: list[list[Instruction]] = []
    for one in found:
        if one.word == "FROM":
            cut.append([])
        if cut:
            cut[-1].append(one)
    return cut


def complaints(name: str) -> Iterator[str]:
    """Yield what is wrong with an image, each with its file and line where there is one."""
    folder = images_folder() / name
    if not _NAME.fullmatch(name):
        yield f"images/{name}: a name is of small letters, digits and single hyphens"
    missing = [file for file in FILES if not (folder / file).is_file()]
    for file in missing:
        yield f"images/{name}: there is no {file}"
    if missing:
        return
    text = (folder / "Dockerfile").read_text()
    yield from (f"images/{name}/Dockerfile:{said}" for said in check_dockerfile(name, text))
    yield from (f"images/{name}/requirements.txt{said}" for said in check_lock(folder))
    yield from _check_programs(folder)


def check_dockerfile(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with a Dockerfile, each beginning with its line."""
    found = instructions(text)
    for one in found:
        if one.word not in WORDS:
            yield f"{one.line}: {one.word} is not one of {', '.join(WORDS)}"
        if _NEWER.search(one.rest) and one.word in ("COPY", "RUN"):
            yield f"{one.line}: only BuildKit knows this"
        if "://" in one.rest:
            yield f"{one.line}: names an address; indexes are build arguments"
    first = found[0]
    default = first.rest.removeprefix("BASE_IMAGE=")
    if first.word != "ARG" or default == first.rest:
        yield f"{first.line}: begins with the argument BASE_IMAGE and its default"
    elif name != BASE and default != f"kpl-lab/base:{__version__}":
        yield f"{first.line}: the base of this version is kpl-lab/base:{__version__}"
    arguments = {one.rest.partition("=")[0] for one in found if one.word == "ARG"}
    for missing in sorted({*ARGUMENTS} - arguments):
        yield f"1: the argument {missing} is missing"
    yield from _check_last_stage(name, stages(found))


def _check_last_stage(name: str, cut: list[list[Instruction]]) -> Iterator[str]:
    if len(cut) < 2:
        yield "1: has one stage: what the build was given stays in the image"
        return
    last = cut[-1]
    for one in last:
        if one.word in ("RUN", "ARG") or (one.word == "COPY" and "--from=" not in one.rest):
            yield f"{one.line}: the last stage only copies from stages before it"
    account = [one for one in last if one.word == "USER"]
    if (name == BASE and not account) or any(
        not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", one.rest) for one in account
    ):
        yield f"{last[0].line}: the image's account is a number other than 0"
    labels = " ".join(one.rest for one in last if one.word == "LABEL")
    for label in LABELS:
        if f"{label}=" not in labels:
            yield f"{last[0].line}: the label {label} is missing"


def pins(path: Path) -> dict[str, str]:
    """Return the version of each package that a lock names, in a form that compares."""
    lines = (line.split(" #")[0].strip() for line in path.read_text().splitlines())
    matches = (_PIN.fullmatch(line) for line in lines)
    return {plain(found[1]): found[2] for found in matches if found}


def plain(name: str) -> str:
    """Return a package's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_lock(folder: Path) -> Iterator[str]:
    """Yield what is wrong with an image's locks."""
    lock = folder / "requirements.txt"
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        word = line.split(" #")[0].strip()
        if word and not word.startswith("#") and not _PIN.fullmatch(word):
            yield f":{number}: {word!r} is not pinned"
    pinned = pins(lock)
    for line in (folder / "requirements.in").read_text().splitlines():
        asked = _REQUIREMENT.match(line.strip())
        if asked and plain(asked[0]) not in pinned:
            yield f": {asked[0]} of requirements.in is not in it; run `make lock`"
    below = images_folder() / BASE
    for path in () if folder == below else sorted(below.glob("requirements*.txt")):
        for package, version in sorted(pins(path).items()):
            if pinned.get(package, version) != version:
                yield f": {package} is {pinned[package]}, but {version} in the base"


def _check_programs(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        try:
            ast.parse(path.read_text())
        except SyntaxError as error:
            yield f"images/{folder.name}/{path.name}:{error.lineno}: {error.msg}"
    shell = shutil.which("sh")
    for path in sorted(folder.iterdir()) if shell else ():
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh"):
            done = subprocess.run(
                [str(shell), "-n", str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                yield f"images/{folder.name}/{path.name}: {done.stderr.strip()}"
