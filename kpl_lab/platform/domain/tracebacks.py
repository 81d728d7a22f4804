"""Finds the Python exception that ended a program in the end of its log.

Form of a traceback: https://docs.python.org/3/library/traceback.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LIBRARY = re.compile(r"/site-packages/|/lib/python3\.\d+/|^<")
# At the beginning of a line: one that is set in is what another program quotes, such as pip.
_START = re.compile(r"^(?:Original )?Traceback \(most recent call last\):", re.MULTILINE)
_FRAME = re.compile(r'^\s+File "(?P<path>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(r"^[^\W\d][\w.]*(?::|$)")
# What a launcher raises because its child failed: the child's own words say more.
_OF_LAUNCHERS = ("CalledProcessError", "ChildFailedError", "ProcessExitedException")
_PASSED_ON = re.compile(r"DataLoader worker \(pid\(s\) [\d, ]+\) exited unexpectedly")
UNCAUGHT_EXIT_CODE = 1


@dataclass(frozen=True)
class Raised:
    """An exception.

    Attributes
    ----------
    file, line
        The innermost place of the user's code.
    what
        The first line of what it says.
    message
        All of what it says.
    text
        The whole traceback.
    start
        Where in the log it begins.
    """

    file: str
    line: int
    what: str
    message: str
    text: str
    start: int

    @property
    def is_of_launcher(self) -> bool:
        """Whether it only tells that another program failed."""
        named = any(name in self.what.split(":")[0] for name in _OF_LAUNCHERS)
        return named or _PASSED_ON.search(self.what) is not None


def last_raised(log: str, exit_code: int | None) -> Raised | None:
    """Return the exception by which a program ended; None where it ended otherwise.

    A message may have several lines, which nothing tells from later output; so what follows is
    overlooked where the exit code is the one of an uncaught exception.
    """
    start = max((found.start() for found in _START.finditer(log)), default=None)
    if start is None:
        return None
    lines = log[start:].split("\n")
    place: re.Match[str] | None = None
    is_own = False
    for number, line in enumerate(lines[1:], 1):
        found = _FRAME.match(line)
        if found is not None:
            # The innermost line of the user's own code is where they look first; a library's line
            # counts only where no other is known.
            of_library = _LIBRARY.search(found["path"]) is not None
            if not of_library or not is_own:
                place, is_own = found, not of_library
        elif place is not None and _EXCEPTION.match(line):
            is_last = not any(rest.strip() for rest in lines[number + 1 :])
            if not is_last and exit_code != UNCAUGHT_EXIT_CODE:
                return None
            return Raised(
                file=place["path"].rpartition("/")[2],
                line=int(place["line"]),
                what=line.strip(),
                message="\n".join(lines[number:]),
                text="\n".join(lines),
                start=start,
            )
    return None
