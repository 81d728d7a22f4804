"""``images/SIZES.md``: how large each image was when it was last built."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from kpl_lab.supervisor.image_build import BASE as BASE_LABEL
from tools import image_lint

HEAD = """# Sizes of the images

Written by `make images`: megabytes (10⁶ bytes) of all layers, unpacked; those without what it stands on;
seconds of the build that last made it, on whatever machine that was, steps that Docker had cached left out. A row stays until then.

"""
COLUMNS = ("image", "all MB", "own MB", "seconds", "platform", "stands on", "day")
NEVER = ("not built",) + ("",) * (len(COLUMNS) - 2)
_MEGA = 1_000_000


@dataclass(frozen=True)
class Row:
    """What was measured of one image."""

    all: str
    own: str
    seconds: str
    platform: str
    stands_on: str
    day: str

    @classmethod
    def measured(
        cls, image: Mapping[str, Any], below: Mapping[str, Any], seconds: float | None
    ) -> Row:
        """Return the row of an image, given what Docker says of it and of what it stands on.

        ``seconds`` is None where nothing was built: Docker had it.
        """
        size = int(image["Size"])
        return cls(
            all=f"{size / _MEGA:.0f}",
            own=f"{(size - int(below['Size'])) / _MEGA:.0f}",
            seconds="" if seconds is None else f"{seconds:.0f}",
            platform=f"{image['Os']}/{image['Architecture']}",
            stands_on=str(image["Config"]["Labels"][BASE_LABEL]),
            day=dt.datetime.now(dt.UTC).date().isoformat(),
        )


def read(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the cells of each image's row, by its name."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {name: tuple(cells) for name, *cells in rows}


def write(path: Path, rows: Mapping[str, Row]) -> None:
    """Put these rows in place of older ones; every image has one."""
    known = read(path)
    for name, row in rows.items():
        old = known.get(name, NEVER)
        known[name] = astuple(row if row.seconds else replace(row, seconds=old[2]))
    table = [COLUMNS, ("---",) * len(COLUMNS)]
    table += [(name, *known.get(name, NEVER)) for name in image_lint.names()]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    path.write_text(f"{HEAD}{text}\n")
