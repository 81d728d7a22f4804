"""What images a Dockerfile names, and the same Dockerfile with others in their place.

A daemon gives every image that it has to whoever names it, so each name is looked at before a build:
in ``FROM``, in ``COPY --from`` and in ``RUN --mount=…,from=``. The daemon's own reader and this one
must never see two different files; where they might (a name behind a continued line or a here
document), this one sees more names than there are, and what it cannot resolve it refuses.

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

FILE = "Dockerfile"
MAX_BYTES = 256 * 1024
SCRATCH = "scratch"
_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(.+?)\s*")
_WORD = re.compile(r"\s*([A-Za-z]+)(?=\s|$)")
_BASE = re.compile(
    r"\s*FROM\s+(?P<flags>(?:--\S+\s+)*)(?P<image>[^\s-]\S*)(?:\s+AS\s+(?P<stage>\S+))?\s*", re.I
)
_INSIDE = re.compile(r"""from\s*=\s*["']?([^\s,"']+)""", re.I)
_VARIABLE = re.compile(
    r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+])(?P<other>[^}$]*))?\})"
)
_OWN_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")
# What the older builder does not know.
_NEWER = re.compile(
    r"^\s*(RUN\s+--|(COPY|ADD)\s+(--\S+\s+)*--(link|chmod|exclude|parents|checksum|keep-git-dir)\b)",
    re.I,
)
_ADDED = re.compile(r"^\s*(?:ONBUILD\s+)*ADD\s+(?:--\S+\s+)*", re.I)
_ADDRESSES = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
_HERE = re.compile(r"^\s*(RUN|COPY|ADD)\b.*<<-?[\"']?[A-Za-z_]", re.I)


@dataclass(frozen=True)
class Line:
    """An instruction: its text as one line, and the physical lines ``first`` to ``last``."""

    text: str
    first: int
    last: int

    @property
    def word(self) -> str:
        """The instruction's name in capitals, of what ``ONBUILD`` holds too."""
        text = self.text
        while (found := _WORD.match(text)) is not None and found.group(1).upper() == "ONBUILD":
            text = text[found.end() :]
        return "" if found is None else found.group(1).upper()


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
        raise _refused(1, f"it is longer than {MAX_BYTES // 1024} KiB, or no text")
    physical = text.splitlines()
    escape, notices = _directives(physical)
    lines = list(_lines(physical, escape))
    if not any(line.word == "FROM" for line in lines):
        raise _refused(1, "it has no FROM, so there is nothing to build on")
    written: list[str | None] = [*physical]  # None: a line that is part of the one before it
    bases = list(_resolve_bases(lines, written, arguments, resolve))
    return Dockerfile(
        text="".join(f"{one}\n" for one in written if one is not None),
        bases=tuple(dict.fromkeys(bases)),
        needs_buildkit=any(_NEWER.match(one.text) or _HERE.match(one.text) for one in lines),
        notices=tuple(notices),
    )


def _refused(line: int, why: str) -> Invalid:
    return Invalid(f"Dockerfile, line {line}: {why}.", code="bad_dockerfile", detail={"line": line})


def _directives(physical: list[str]) -> tuple[str, list[str]]:
    """Return the escape character, and take the line away that names a syntax of Docker's own."""
    escape, notices = "\\", []
    for number, line in enumerate(physical, 1):
        found = _DIRECTIVE.fullmatch(line.strip())
        if found is None:
            break
        name, value = found.group(1).lower(), found.group(2)
        if name == "escape":
            if value not in ("\\", "`"):
                raise _refused(number, f"the escape character is ` or \\, not {value}")
            escape = value
        if name == "syntax":
            if not _OWN_SYNTAX.fullmatch(value):
                raise _refused(
                    number, f"the syntax {value} is not Docker's own; leave the line out"
                )
            physical[number - 1] = "#"
            notices.append("The builder's own syntax is used in place of `# syntax=`.")
    return escape, notices


def _lines(physical: list[str], escape: str) -> Iterator[Line]:
    """Yield instructions, and again by itself each further physical line that looks like a FROM.

    A here document can end behind a line that seems to be continued.
    """
    whole, first = "", 0
    for number, raw in enumerate(physical):
        stripped = raw.strip()
        if whole and _BASE.fullmatch(raw):
            raise _refused(
                number + 1, "a FROM behind a continued line cannot be followed; end that line first"
            )
        if not stripped or stripped.startswith("#"):
            continue
        if not whole:
            first = number
        body = raw.rstrip()
        if body.endswith(escape):
            whole += body[: -len(escape)] or " "
            continue
        yield Line(whole + raw, first, number)
        whole = ""
    if whole.strip():
        yield Line(whole, first, len(physical) - 1)


def _resolve_bases(
    lines: list[Line],
    written: list[str | None],
    arguments: Mapping[str, str],
    resolve: Callable[[str, int], str],
) -> Iterator[str]:
    known: dict[str, str] = {}
    stages: set[str] = set()
    count = 0
    for line in lines:
        number = line.first + 1
        if line.word == "ARG" and not count:
            known |= _defaults(line, arguments, known)
        elif line.word == "FROM":
            found = _BASE.fullmatch(line.text)
            if found is None:
                raise _refused(number, "write it as FROM IMAGE or FROM IMAGE AS NAME")
            image = substitute(found["image"], known, number)
            if image.lower() not in stages and image != SCRATCH:
                image = resolve(image, number)
                yield image
            stage = f" AS {found['stage']}" if found["stage"] else ""
            written[line.first : line.last + 1] = [
                f"FROM {found['flags']}{image}{stage}",
                *[None] * (line.last - line.first),
            ]
            stages |= {str(count), (found["stage"] or "").lower()}
            count += 1
        elif line.word in ("COPY", "ADD", "RUN"):
            if line.word == "ADD":
                _check_added(line)
            yield from _inside(line, stages, resolve)


def check_triggers(triggers: Sequence[str]) -> None:
    """Refuse what an image has its builder do (``ONBUILD``) and a Dockerfile may not ask for.

    Raises
    ------
    Invalid
        A step takes files from another image, or adds an address.
    """
    for trigger in triggers:
        line = Line(trigger, 0, 0)
        if line.word == "FROM" or ("--" in trigger and _INSIDE.search(trigger)):
            raise Invalid(
                f"its step {trigger!r} takes files from another image", code="bad_dockerfile"
            )
        if line.word == "ADD" and _address_in(line) is not None:
            raise Invalid(f"its step {trigger!r} adds an address", code="bad_dockerfile")


def _check_added(line: Line) -> None:
    found = _address_in(line)
    if found is not None:
        raise _refused(
            line.first + 1,
            f"ADD of {found} would be fetched with the machine's own network; fetch it in a RUN "
            "step with curl or wget, or put the file into the folder",
        )


def _address_in(line: Line) -> str | None:
    """Return the first source of an ``ADD`` that is an address, or may be one."""
    text = _ADDED.sub("", line.text)
    words: list[str] = text.split()
    try:
        parsed = json.loads(text)
        words = [str(word) for word in parsed] if isinstance(parsed, list) else words
    except ValueError:
        pass  # not the form with brackets
    for word in words[:-1]:
        plain = re.sub(r"[\"'\\`\[]", "", word).lower()
        begin, variable, _ = plain.partition("$")
        if begin.startswith(_ADDRESSES):
            return word
        # A variable may hold the rest of one.
        if variable and any(address.startswith(begin) for address in _ADDRESSES):
            return word
    return None


def _inside(line: Line, stages: set[str], resolve: Callable[[str, int], str]) -> Iterator[str]:
    """Yield the images that an instruction takes files from; none may mean another one here."""
    for image in _INSIDE.findall(line.text) if "--" in line.text else ():
        number = line.first + 1
        if image.lower() in stages:
            continue
        if "$" in image or "\\" in image or "`" in image:
            raise _refused(number, f"write out the image or stage that {image} stands for")
        meant = resolve(image, number)
        if meant != image:
            raise _refused(
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
            raise _refused(line, f"{name} has no value; give it with --build-arg {name}=…")
        return given

    filled = _VARIABLE.sub(value, word).strip("\"'")
    if not filled or set(filled) & set("$\\`\"' \t"):
        raise _refused(line, f"the image {word} cannot be followed; write it out")
    return filled
