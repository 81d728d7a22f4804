"""``python -m kpl_lab.platform.faults_page``: the fault dictionary as a page of the reference.

It is committed as ``docs/reference/faults.md``.
"""

from __future__ import annotations

import re
from pathlib import Path

from kpl_lab.platform.domain.faults import AREAS, FAULTS, Fault

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
_HEAD = """\
# Faults that are known

<!-- Made by `python -m kpl_lab.platform.faults_page`; do not edit. -->

When a task, service, build or notebook server ends badly, the platform looks up why: first what the
engine saw or did, then the exception that ended a Python program, then the last lines of the log.
What it finds stands on the page of the task or service, in `kpl task show`, and as `reason` and
`remedy` in the API. There are {count} entries. They are tried in the order of this page, except for
those of clusters and of the engine, which come first where these ended it or did not start it.

*Who* can mend it: you, an administrator, or the platform. *Usually* is how long it takes until it
works again, as an order of magnitude. Words in braces are filled in.
"""
_WHO = {"user": "you", "admin": "an administrator", "platform": "the platform"}


def text() -> str:
    """Return the page."""
    parts = [_HEAD.format(count=len(FAULTS))]
    for title, faults in AREAS:
        rows = "\n".join(_row(fault) for fault in faults)
        parts.append(
            f"## {title}\n\n"
            "| Reason | Cause | What to do | Who | Usually |\n|---|---|---|---|---|\n"
            f"{rows}\n"
        )
    return "\n".join(parts)


def _row(fault: Fault) -> str:
    cause, action = (_cell(said) for said in (fault.cause, fault.action))
    return f"| `{fault.code}` | {cause} | {action} | {_WHO[fault.who]} | {fault.usual_duration} |"


def _cell(said: str) -> str:
    return re.sub(r"\{(\w+)(?:!r)?\}", r"{\1}", said).replace("|", "\\|")


def main() -> None:
    """Write the page."""
    COMMITTED.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
