"""How results look: JSON for machines, narrow tables and fields for people."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from kpl_lab.schemas.common import Remedy

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def _plain(value: Any) -> str:  # noqa: ANN401 - any field of any answer
    if value is None or value == "":
        return "-"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False) if value else "-"
    return str(value)


@dataclass(frozen=True)
class Column:
    """One column of a table, or one line of a description.

    Attributes
    ----------
    title
        What stands above or before it.
    field
        Name of the field; the whole item is given to ``text`` when it is empty.
    text
        Makes words of the value.
    """

    title: str
    field: str = ""
    text: Callable[[Any], str] = _plain

    def of(self, item: Any) -> str:  # noqa: ANN401 - any answer
        """Return the words for ``item``."""
        if not self.field:
            return self.text(item)
        is_mapping = isinstance(item, Mapping)
        return self.text(item[self.field] if is_mapping else getattr(item, self.field))


def json_text(item: BaseModel | Mapping[str, Any]) -> str:
    """Return ``item`` as indented JSON in UTF-8 letters."""
    return json.dumps(item, ensure_ascii=False, indent=2, default=_jsonable)


def _jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)


def bytes_text(count: int | None) -> str:
    """Return a number of bytes in binary units."""
    if count is None:
        return "-"
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return str(count)


def duration_text(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def remedy_text(remedy: Remedy | None) -> str:
    """Return what to do about a failure, how long that takes, and who can where it is not the user."""
    if remedy is None:
        return "-"
    who = {"admin": "an administrator", "platform": "the platform itself"}.get(remedy.who)
    beside = "; ".join(words for words in (who, remedy.usual_duration) if words)
    return f"{remedy.action} ({beside})" if beside else remedy.action


def age_text(time: dt.datetime | None) -> str:
    """Return how long ago ``time`` was, roughly."""
    if time is None:
        return "-"
    seconds = (dt.datetime.now(dt.UTC) - time).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min ago"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h ago"
    return f"{int(seconds // _DAY)} d ago"


def percent_text(share: float | None) -> str:
    """Return a share of one as percent."""
    return "-" if share is None else f"{share * 100:.0f} %"


def state_text(item: Any) -> str:  # noqa: ANN401 - any resource
    """Return the state, and the code of the reason where it ended badly."""
    return f"{item.state} ({item.reason})" if item.reason else str(item.state)


def table_text(items: Sequence[BaseModel], columns: Sequence[Column]) -> str:
    """Return a table without lines; cells are never cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column.title, no_wrap=True)
    for item in items:
        table.add_row(*(_cell(column.of(item)) for column in columns))
    # The width is what the cells need: a terminal wraps, a pipe gets whole lines.
    console = Console(width=10_000, no_color=not sys.stdout.isatty(), highlight=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def _cell(text: str) -> Any:  # noqa: ANN401 - rich's Text, imported where it is used
    from rich.text import Text

    # As plain text: a name like "[red]" is a name.
    return Text(" ".join(text.split()))


def fields_text(item: BaseModel | Mapping[str, Any], columns: Sequence[Column]) -> str:
    """Return one line for each of ``columns`` that says something."""
    pairs = [(column.title, column.of(item)) for column in columns]
    pairs = [(title, text) for title, text in pairs if text not in ("", "-")]
    width = max((len(title) for title, _ in pairs), default=0)
    return "\n".join(f"{title:<{width}}  {text}" for title, text in pairs)
