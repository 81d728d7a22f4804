"""``python -m benchmarks.page``: what was measured last, as a page.

Each program's rows are a file of ``results/``, with the conditions of the run that they are from. The page is
committed as ``results.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._common import Row
from benchmarks._programs import PROGRAMS, Program
from benchmarks._report import table_of

COMMITTED = Path(__file__).with_name("results.md")
_HEAD = """\
# Benchmarks

<!-- Made by `python -m benchmarks.page` of the files in `results/`; do not edit. -->

`make bench` measures all of this anew, `python -m benchmarks --only NAME` one table. Both values of a line are
from one run on one machine, taken in turns. A ratio above 1 means that ours is better; where less is better
and ours takes more, what it adds stands behind it. Goals are those of the specification.
"""


@dataclass(frozen=True)
class Part:
    """What one run of one program measured.

    Parameters
    ----------
    conditions
        What one must know to judge the numbers, by name.
    rows
        What was measured.
    """

    conditions: Mapping[str, str]
    rows: Sequence[Row]


def read(folder: Path, name: str) -> Part | None:
    """Return what a program measured last; None: it never did."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text("utf-8"))
    return Part(found["conditions"], [Row(**row) for row in found["rows"]])


def keep(folder: Path, name: str, part: Part) -> None:
    """Put what a program measured in the place of what it measured before."""
    folder.mkdir(exist_ok=True)
    kept = {"conditions": dict(part.conditions), "rows": [asdict(row) for row in part.rows]}
    _write(folder / f"{name}.json", json.dumps(kept, ensure_ascii=False, indent=1) + "\n")


def section(name: str, program: Program, part: Part, known: Collection[str] = ()) -> str:
    """Return the table of a program, with its conditions but for those that are ``known``."""
    own = [f"{key}: {value}" for key, value in part.conditions.items() if key not in known]
    return f"## {program.title}\n\n{table_of(part.rows)}\n{' · '.join([f'`{name}`', *own])}\n"


def text(page: Path = COMMITTED, programs: Mapping[str, Program] = PROGRAMS) -> str:
    """Return the page of what lies in the folder beside it."""
    found = {name: read(page.with_suffix(""), name) for name in programs}
    parts = {name: part for name, part in found.items() if part is not None}
    common = _common([part.conditions for part in parts.values()])
    shown = [_HEAD, "".join(f"- {name}: {value}\n" for name, value in common.items())]
    shown += [section(name, programs[name], part, common) for name, part in parts.items()]
    if missing := [f"`{name}`" for name in programs if name not in parts]:
        shown.append(f"## Not measured yet\n\n{', '.join(missing)}\n")
    return "\n".join(filter(None, shown))


def write(page: Path = COMMITTED, programs: Mapping[str, Program] = PROGRAMS) -> None:
    """Write the page."""
    _write(page, text(page, programs))


def _common(conditions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return what all runs share."""
    first, *others = conditions or ({},)
    return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}


def _write(path: Path, content: str) -> None:
    """Put a file in place whole: the earlier one stays until the new one is complete."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.write_text(content, "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    write()
