"""Logs as text that may be shown anywhere."""

from __future__ import annotations

import re

# Colours and movements of a terminal, and all other control characters but tab and newline.
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def plain(text: str) -> str:
    """Return a log without what only a terminal understands."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n")).strip("\n")
