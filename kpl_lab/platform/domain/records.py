"""Records of a dataset as a browser may see them: values, and pictures made safe."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from kpl_dataset import DatasetError, ReadOnlyDataset
from kpl_lab.errors import Invalid, NotFound
from kpl_lab.schemas.datasets import RecordPage, RecordView

MAX_TEXT = 2000
MAX_PAGE = 500
_IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")


def open_dataset(folder: Path) -> ReadOnlyDataset:
    """Open a stored version.

    Raises
    ------
    NotFound
        Its files are missing or damaged; says which.
    """
    try:
        return ReadOnlyDataset(folder)
    except DatasetError as error:
        raise NotFound(f"The stored dataset cannot be read: {error}", code="damaged") from error


def page(folder: Path, href: str, offset: int, limit: int, class_name: str | None) -> RecordPage:
    """Return a page of records; ``href`` is the address below which fields are served."""
    with open_dataset(folder) as reader:
        if class_name is None:
            total = len(reader)
            wanted = range(offset, min(offset + limit, total))
            items = [_view(i, reader[i], href) for i in wanted]
            return RecordPage(total=total, offset=offset, items=items)
        matching = list(_of_class(reader, class_name))
        items = [_view(i, reader[i], href) for i in matching[offset : offset + limit]]
        return RecordPage(total=len(matching), offset=offset, items=items)


def _of_class(reader: ReadOnlyDataset, class_name: str) -> Iterator[int]:
    columns = [c for c in ("class_name", "object") if c in reader.record_type]
    with ReadOnlyDataset(reader.data_dir, reader.data_name, columns) as projected:
        for index, record in enumerate(projected):
            objects = record.get("object") or []
            if record.get("class_name") == class_name or any(
                o.get("name") == class_name for o in objects
            ):
                yield index


def _view(index: int, record: dict[str, Any], href: str) -> RecordView:
    return RecordView(
        index=index,
        values={
            name: _shown(value, f"{href}/{index}/fields/{name}") for name, value in record.items()
        },
    )


def _shown(value: Any, href: str) -> Any:  # noqa: ANN401 (any value of a record)
    if isinstance(value, bytes | bytearray | memoryview):
        head = bytes(value[:4])
        is_image = any(head.startswith(magic[:4]) for magic in _IMAGE_MAGIC)
        return {"kind": "image" if is_image else "bytes", "size": len(value), "href": href}
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, dict):
        return {k: _shown(v, href) for k, v in value.items()}
    if isinstance(value, list):
        return [_shown(v, href) for v in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value


def field_bytes(folder: Path, index: int, field: str) -> bytes:
    """Return the bytes of one field of one record.

    Raises
    ------
    NotFound
        There is no such record or field.
    """
    with open_dataset(folder) as reader:
        if index >= len(reader):
            raise NotFound(f"The dataset has {len(reader)} records; there is no record {index}.")
        record = reader[index]
        if field not in record:
            raise NotFound(f"The records have no field {field!r}.")
        value = record[field]
        if isinstance(value, dict) and "content" in value:
            value = value["content"]
        return value.encode() if isinstance(value, str) else bytes(value)


def as_picture(data: bytes, size: int) -> bytes:
    """Return a picture re-encoded as PNG, at most ``size`` pixels wide and high.

    A browser never gets the bytes of a stranger's picture, so a hostile one (an SVG, HTML with a
    picture's name) cannot run.

    Raises
    ------
    Invalid
        It is not a picture, or one with more pixels than is safe to open.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.thumbnail((size, size))
                keeps = image.mode in ("L", "LA", "RGB", "RGBA", "1")
                out = io.BytesIO()
                (image if keeps else image.convert("RGBA")).save(out, "PNG")
                return out.getvalue()
    except (
        UnidentifiedImageError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise Invalid("This field cannot be shown as a picture.", code="no_picture") from error
