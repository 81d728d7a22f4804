"""The instructions of a Dockerfile, as every daemon reads them; what they read differently is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kpl_lab.errors import Invalid

BASE = re.compile(
    r"\s*FROM\s+(?P<flags>(?:--\S+\s+)*)(?P<image>[^\s-]\S*)(?:\s+AS\s+(?P<stage>\S+))?\s*", re.I
)
_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(.+?)\s*")
_WORD = re.compile(r"\s*([A-Za-z]+)(?=\s|$)")
_OPTIONS = re.compile(r"\s*(?:ONBUILD\s+)*[A-Za-z]+((?:\s+--\S*)*)", re.I)
_INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
_OWN_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")
_HERE = re.compile(r"(?:^|\s)\d*<<(-?)([^\s<]\S*)")
_TAKES_HERE = ("RUN", "COPY", "ADD")
_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Line:
    """An instruction: its text as one line, and the physical lines ``first`` to ``last``."""

    text: str
    first: int
    last: int
    is_inside: bool = False
    """Whether it stands in a here document, which not every daemon knows."""

    @property
    def options(self) -> str:
        """The words that begin with ``--``."""
        found = _OPTIONS.match(self.text)
        return "" if found is None else found.group(1)

    @property
    def word(self) -> str:
        """The instruction's name in capitals, of what ``ONBUILD`` holds too."""
        text = self.text
        while (found := _WORD.match(text)) is not None and found.group(1).upper() == "ONBUILD":
            text = text[found.end() :]
        return "" if found is None else found.group(1).upper()


def refused(line: int, why: str) -> Invalid:
    """Return the error of a line, which counts from 1."""
    return Invalid(f"Dockerfile, line {line}: {why}.", code="bad_dockerfile", detail={"line": line})


def read_directives(physical: list[str]) -> tuple[str, list[str]]:
    """Return the escape character, and take the line away that names a syntax of Docker's own."""
    escape, notices = "\\", []
    if physical and physical[0].startswith("#!"):
        raise refused(1, "it begins with #!, as if it were a script; leave the line out")
    for number, line in enumerate(physical, 1):
        found = _DIRECTIVE.fullmatch(line.strip())
        if found is None:
            break
        name, value = found.group(1).lower(), found.group(2)
        if name == "escape":
            if value not in ("\\", "`"):
                raise refused(number, f"the escape character is ` or \\, not {value}")
            escape = value
        if name == "syntax":
            if not _OWN_SYNTAX.fullmatch(value):
                raise refused(number, f"the syntax {value} is not Docker's own; leave the line out")
            physical[number - 1] = "#"
            notices.append("The builder's own syntax is used in place of `# syntax=`.")
    return escape, notices


def read_lines(physical: list[str], escape: str) -> Iterator[Line]:
    """Yield instructions; what stands in a here document is one too, for daemons without them.

    Raises
    ------
    Invalid
        A line that daemons read differently, or that no instruction begins.
    """
    whole, first = "", 0
    ends: list[tuple[str, bool]] = []  # of the here documents that are open
    for number, raw in enumerate(physical):
        is_inside = bool(ends)
        if is_inside and (raw.lstrip("\t") if ends[0][1] else raw) == ends[0][0]:
            del ends[0]
            if whole:
                yield Line(whole, first, number - 1, is_inside)
                whole = ""
            continue
        if (whole or is_inside) and BASE.fullmatch(raw):
            raise refused(
                number + 1,
                "a FROM behind a continued line or in a here document cannot be followed; end that "
                "first",
            )
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not whole:
            first = number
        if _goes_on(raw, escape, number):
            whole += raw.rstrip()[: -len(escape)] or " "
            continue
        line = Line(whole + raw, first, number, is_inside)
        whole = ""
        ends += () if is_inside else _here_documents(line)
        yield _known(line)
    if whole.strip():
        yield _known(Line(whole, first, len(physical) - 1, bool(ends)))


def _goes_on(raw: str, escape: str, number: int) -> bool:
    """Say whether the next line belongs to this one."""
    body = raw.rstrip()
    if not body.endswith(escape):
        return False
    if body.endswith(escape * 2) or raw[len(body) :].strip(" \t"):
        raise refused(
            number + 1, f"whether a line that ends in {escape * 2} goes on depends on the builder"
        )
    return True


def _here_documents(line: Line) -> list[tuple[str, bool]]:
    """Return the ends of the here documents that an instruction begins, and whether tabs go."""
    found = []
    for dash, name in _HERE.findall(line.text) if line.word in _TAKES_HERE else ():
        plain = name[1:-1] if name[0] in "\"'" and name[-1] == name[0] else name
        if not _PLAIN.fullmatch(plain):
            raise refused(line.last + 1, f"name the end of a here document plainly, not {name}")
        found.append((plain, dash == "-"))
    return found


def _known(line: Line) -> Line:
    if not line.is_inside and line.word not in _INSTRUCTIONS:
        raise refused(line.first + 1, "it begins with no instruction of a Dockerfile")
    return line
