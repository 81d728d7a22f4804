"""What images a Dockerfile names, and the same Dockerfile with others in their place.

A daemon gives every image that it has to whoever names it, so each name is looked at before a build:
in ``FROM``, in ``COPY --from`` and in ``RUN --mount=…,from=``. The daemon's own reader and this one
must never see two different files, and daemons of several years read what is unusual differently.
So this one sees more names than there are, fewer stages, and refuses what cannot be followed for
sure: quotes in an instruction's options, a line that ends in two escapes, a FROM in a here document.

The daemon itself fetches what ``ADD`` names by an address, with the machine's own network, where it
reaches what no step of a build does (the loopback, a cloud's metadata service): that is refused.

Format: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kpl_lab.errors import Invalid
from kpl_lab.formats.dockerfile_lines import BASE, Line, read_directives, read_lines, refused

FILE = "Dockerfile"
MAX_BYTES = 256 * 1024
SCRATCH = "scratch"
_INSIDE = re.compile(r"""from\s*=\s*["']?([^\s,"']+)""", re.I)
_VARIABLE = re.compile(
    r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+])(?P<other>[^}$]*))?\})"
)
# What the older builder does not know.
_NEWER = re.compile(
    r"^\s*(RUN\s+--|(COPY|ADD)\s+(--\S+\s+)*--(link|chmod|exclude|parents|checksum|keep-git-dir)\b)",
    re.I,
)
_ADDED = re.compile(r"^\s*(?:ONBUILD\s+)*ADD\s+(?:--\S+\s+)*", re.I)
_OVER_SSH = re.compile(r"[\w.-]+@[\w.-]+:")
_ADDRESSES = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
# Chooses a reader of the user's own, which may do everything that ours refuses.
_BUILDERS_OWN = "BUILDKIT_"


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile whose images are all known.

    Attributes
    ----------
    text
        The file with every image in ``FROM`` written out.
    bases
        The images that it stands on or copies from, each once, in their order.
    needs_buildkit
        Whether it uses what the older builder does not know.
    notices
        What was changed that its author should know.
    """

    text: str
    bases: tuple[str, ...]
    needs_buildkit: bool
    notices: tuple[str, ...] = ()


def read_dockerfile(
    text: str, arguments: Mapping[str, str], resolve: Callable[[str, int], str]
) -> Dockerfile:
    """Return a Dockerfile with its images resolved.

    Parameters
    ----------
    text
        Its content.
    arguments
        Build arguments, which take the place of the defaults of ``ARG`` before the first ``FROM``.
    resolve
        Returns the image to use for a name (and the number of its line), or refuses it.

    Raises
    ------
    Invalid
        It is no Dockerfile, or names an image in a way that cannot be followed; says the line.
    """
    if len(text.encode()) > MAX_BYTES or "\0" in text:
        raise refused(1, f"it is longer than {MAX_BYTES // 1024} KiB, or no text")
    for name in arguments:
        if name.upper().startswith(_BUILDERS_OWN):
            raise Invalid(
                f"The build argument {name} is the builder's own; leave it out.",
                code="bad_dockerfile",
                detail={"argument": name},
            )
    physical = text.removeprefix("\ufeff").splitlines()
    escape, notices = read_directives(physical)
    lines = list(read_lines(physical, escape))
    if not any(line.word == "FROM" for line in lines):
        raise refused(1, "it has no FROM, so there is nothing to build on")
    written: list[str | None] = [*physical]  # None: a line that is part of the one before it
    bases = list(_resolve_bases(lines, written, arguments, resolve, notices))
    return Dockerfile(
        text="".join(f"{one}\n" for one in written if one is not None),
        bases=tuple(dict.fromkeys(bases)),
        needs_buildkit=any(_NEWER.match(one.text) or one.is_inside for one in lines),
        notices=tuple(dict.fromkeys(notices)),
    )


def _resolve_bases(
    lines: list[Line],
    written: list[str | None],
    arguments: Mapping[str, str],
    resolve: Callable[[str, int], str],
    notices: list[str],
) -> Iterator[str]:
    known: dict[str, str] = {}
    stages: set[str] = set()
    current: set[str] = set()  # the names of the stage that is read: not yet a stage for others
    count = 0
    for line in lines:
        number = line.first + 1
        if line.word == "ARG" and not count:
            known |= _defaults(line, arguments, known)
        elif line.word == "FROM":
            found = BASE.fullmatch(line.text)
            if found is None:
                raise refused(number, "write it as FROM IMAGE or FROM IMAGE AS NAME")
            image = substitute(found["image"], known, number)
            if found["flags"]:
                _drop_platform(found["flags"], number, notices)
            stages |= current
            if image.lower() not in stages and image != SCRATCH:
                image = resolve(image, number)
                yield image
            stage = f" AS {found['stage']}" if found["stage"] else ""
            written[line.first : line.last + 1] = [
                f"FROM {image}{stage}",
                *[None] * (line.last - line.first),
            ]
            current = {str(count), (found["stage"] or "").lower()}
            count += 1
        elif line.word in ("COPY", "ADD", "RUN"):
            if line.word == "ADD":
                _check_added(line)
            yield from _inside(line, stages, resolve)


def _drop_platform(flags: str, number: int, notices: list[str]) -> None:
    """Note that a base is taken for this machine, where alone the result can run."""
    if not re.fullmatch(r"--platform=\S+\s+", flags, re.I):
        raise refused(number, f"FROM does not take {flags.strip()}")
    notices.append("Everything is built for this machine: `--platform` is left out.")


def check_triggers(triggers: Sequence[str]) -> None:
    """Refuse what an image has its builder do (``ONBUILD``) and a Dockerfile may not ask for.

    Raises
    ------
    Invalid
        A step takes files from another image, or adds an address.
    """
    for trigger in triggers:
        line = Line(trigger, 0, 0)
        asks_for_images = line.word == "FROM" or "from" in line.options.lower()
        if asks_for_images or _is_quoted(line.options):
            raise Invalid(
                f"its step {trigger!r} takes files from another image", code="bad_dockerfile"
            )
        if line.word == "ADD" and _address_in(line) is not None:
            raise Invalid(f"its step {trigger!r} adds an address", code="bad_dockerfile")


def _is_quoted(options: str) -> bool:
    """Say whether options are written so that they mean something else than what stands there."""
    return bool(set(options) & set("\"'\\`"))


def _check_added(line: Line) -> None:
    found = _address_in(line)
    if found is not None:
        raise refused(
            line.first + 1,
            f"ADD of {found} would be fetched with the machine's own network; fetch it in a RUN "
            "step with curl or wget, or put the file into the folder",
        )


def _address_in(line: Line) -> str | None:
    """Return the first source of an ``ADD`` that is an address, or may be one."""
    text = _ADDED.sub("", line.text)
    words = text.split()[:-1]
    if text.startswith("["):
        # Older daemons take no notice of what follows the list.
        try:
            parsed, _ = json.JSONDecoder().raw_decode(text)
        except RecursionError:
            return "a list in a list"
        except ValueError:
            parsed = []
        words += map(str, parsed[:-1])
    return next((word for word in words if _may_be_address(word)), None)


def _may_be_address(word: str) -> bool:
    plain = re.sub(r"[\"'\\`\[]", "", word).lower()
    begin, variable, _ = plain.partition("$")
    if begin.startswith(_ADDRESSES) or _OVER_SSH.match(begin):
        return True
    # A variable may hold the rest of one.
    return bool(variable) and any(address.startswith(begin) for address in _ADDRESSES)


def _inside(line: Line, stages: set[str], resolve: Callable[[str, int], str]) -> Iterator[str]:
    """Yield the images that an instruction takes files from; none may mean another one here."""
    if _is_quoted(line.options) or re.search(r"--from(\s|$)", line.options, re.I):
        raise refused(
            line.first + 1, "write options as --name=value, without quotes and backslashes"
        )
    for image in _INSIDE.findall(line.text) if "--" in line.text else ():
        number = line.first + 1
        if image.lower() in stages:
            continue
        if "$" in image or "\\" in image or "`" in image:
            raise refused(number, f"write out the image or stage that {image} stands for")
        meant = resolve(image, number)
        if meant != image:
            raise refused(
                number,
                f"name the image as {meant}, or begin a stage with FROM {image} AS … and copy from it",
            )
        yield image


def _defaults(line: Line, arguments: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in line.text.strip()[3:].split():
        name, is_set, value = one.partition("=")
        if name in arguments:
            found[name] = arguments[name]
        elif is_set:
            found[name] = substitute(value.strip("\"'"), {**known, **found}, line.first + 1)
    return found


def substitute(word: str, known: Mapping[str, str], line: int) -> str:
    """Return a word of ``FROM`` with its variables filled in.

    Raises
    ------
    Invalid
        One has no value, or is written in a way that is not followed.
    """

    def value(found: re.Match[str]) -> str:
        name = found["plain"] or found["name"]
        given = known.get(name, "")
        how, other = found["how"] or "", found["other"] or ""
        if how.endswith("-"):
            return given or other
        if how.endswith("+"):
            return other if given else ""
        if not given:
            raise refused(line, f"{name} has no value; give it with --build-arg {name}=…")
        return given

    filled = _VARIABLE.sub(value, word).strip("\"'")
    if not filled or set(filled) & set("$\\`\"' \t"):
        raise refused(line, f"the image {word} cannot be followed; write it out")
    return filled
