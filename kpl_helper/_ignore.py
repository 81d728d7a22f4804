"""Names that are left out when code is packed: three fixed ones, and what ``.kplignore`` adds.

The patterns are those of ``.gitignore`` (see gitignore(5)): ``#`` comments, ``!`` to take back, a
trailing ``/`` for folders only, a ``/`` elsewhere to anchor at the root, ``*``, ``?``, ``[…]``, ``**``.
"""

from __future__ import annotations

import re
from pathlib import Path

ALWAYS_IGNORED = ("__pycache__", ".git", ".ipynb_checkpoints")
IGNORE_FILE = ".kplignore"


class IgnoreRules:
    """Patterns in order; the last one that matches decides.

    Parameters
    ----------
    lines
        Lines of an ignore file.
    """

    def __init__(self, lines: list[str]) -> None:
        self._rules = [rule for rule in map(_rule, lines) if rule is not None]

    @classmethod
    def of_code_folder(cls, folder: Path) -> IgnoreRules:
        """Return the fixed rules, followed by those of the folder's ``.kplignore``."""
        lines = list(ALWAYS_IGNORED)
        file = folder / IGNORE_FILE
        if file.is_file():
            lines += file.read_text(encoding="utf-8", errors="replace").splitlines()
        return cls(lines)

    def leaves_out(self, path: str, is_folder: bool) -> bool:
        """Say whether an entry is left out.

        Parameters
        ----------
        path
            Relative to the root, with ``/`` between its parts.
        is_folder
            Whether it is a folder; what is below a folder that is left out is not asked about.
        """
        ignored = False
        for pattern, taken_back, folders_only in self._rules:
            if (is_folder or not folders_only) and pattern.fullmatch(path):
                ignored = not taken_back
        return ignored


def _rule(line: str) -> tuple[re.Pattern[str], bool, bool] | None:
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    taken_back = text.startswith("!")
    text = text[1:] if taken_back else text
    if text.startswith(("\\#", "\\!")):
        text = text[1:]
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    text = text.lstrip("/")
    if not text:
        return None
    prefix = "" if anchored else "(?:.*/)?"
    return re.compile(prefix + _translated(text)), taken_back, folders_only


_TOKEN = re.compile(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]]*\]|\\.|.", re.DOTALL)
_FIXED = {"**/": "(?:.*/)?", "/**": "/.*", "?": "[^/]"}


def _translated(text: str) -> str:
    return "".join(_token(match.group()) for match in _TOKEN.finditer(text))


def _token(token: str) -> str:
    if token in _FIXED:
        return _FIXED[token]
    if token.startswith("*"):
        return "[^/]*"
    if token.startswith("[") and len(token) > 2:
        inner = token[1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    if token.startswith("\\") and len(token) == 2:
        return re.escape(token[1])
    return re.escape(token)
