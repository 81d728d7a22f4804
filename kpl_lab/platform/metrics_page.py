"""``python -m kpl_lab.platform.metrics_page``: what is measured, as a page of the reference.

It is committed as ``docs/reference/metrics.md``.
"""

from __future__ import annotations

from pathlib import Path

from kpl_lab.platform.domain import census
from kpl_lab.telemetry import instruments as _counted  # noqa: F401 (they enter the list)
from kpl_lab.telemetry.catalog import ENTRIES, PROCESS, Entry

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
_HEAD = """\
# Metrics

<!-- Made by `python -m kpl_lab.platform.metrics_page`; do not edit. -->

What the platform tells a scraper: [how to have it scraped](../howto/watch-an-installation.md). No label
holds what users choose: no names, ids or paths. Seconds and bytes are plain seconds and bytes.
"""
_STATE = """\
## How the installation is

Read from the database and asked of the engine at the scrape.
"""
_COUNTED = """\
## What processes count

Each process for itself, from its start on: `process` is `platform` (the API), `controller` or `runner`.
Take sums over it where you want the whole. `route` is the template of a route, `unknown` where there is
none; `status` of a request the class of it (`2xx`).
"""


def text() -> str:
    """Return the page."""
    own = [entry for entry in ENTRIES.values() if _is_counted(entry)]
    state = [entry for entry in ENTRIES.values() if not _is_counted(entry)]
    return f"{_HEAD}\n{_STATE}\n{_table(state)}\n{_COUNTED}\n{_table(own)}"


def _is_counted(entry: Entry) -> bool:
    return PROCESS in entry.labels and entry is not census.PROCESS_UP


def _table(entries: list[Entry]) -> str:
    rows = "".join(
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} "
        f"| {one.text} |\n"
        for one in sorted(entries, key=lambda one: one.name)
    )
    return f"| Name | Kind | Labels | |\n|---|---|---|---|\n{rows}"


def main() -> None:
    """Write the page."""
    COMMITTED.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
