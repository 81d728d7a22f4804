"""What came in becomes a dataset in the KPL format: how each format is read.

No database and no limits here; ``kpl_lab.platform.importers`` runs this in a process of its own.
"""

from __future__ import annotations

import mimetypes
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_dataset import BasicType, DatasetError, ReadOnlyDataset, WriteOnlyDataset, check
from kpl_dataset.common import ClassificationDatasetDefine
from kpl_lab.errors import Invalid
from kpl_lab.platform.domain import pictures
from kpl_lab.platform.storage.archives import plain_files, shown
from kpl_lab.platform.storage.files import size_of

MAX_CLASSES_COUNTED = 1000
MAX_SKIPPED_TOLD = 200
# Above this a record's content is a File, kept beside the records, not bytes inside of them.
MAX_INLINE_BYTES = 50 * 1024 * 1024
_PICTURE_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
}  # fmt: skip
_JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", ".git"}
# Its own table: the machine's /etc/mime.types would make the same import differ from place to place.
_TYPES = mimetypes.MimeTypes(filenames=())
_TYPES.add_type("application/xml", ".xml")

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import found."""

    records: int
    bytes: int
    fields: list[Mapping[str, str]]
    classes: list[Mapping[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    format: str = "kpl"


@dataclass(frozen=True)
class Source:
    """An unpacked folder.

    Attributes
    ----------
    root
        Put before each record's path, so that paths always begin with a root folder.
    progress
        Told 0–1 while the files are read.
    """

    folder: Path
    root: str
    progress: Progress

    def path_of(self, file: Path) -> str:
        """Return the ``path`` of a file's record."""
        relative = shown(file.relative_to(self.folder))
        return f"{self.root}/{relative}" if self.root else relative

    def files(self) -> list[Path]:
        """Return the files that count, in a stable order."""
        return [p for p in plain_files(self.folder) if not _is_junk(p.relative_to(self.folder))]

    def read(self, files: list[Path]) -> Iterator[Path]:
        """Yield ``files`` and tell the progress by their bytes."""
        total = sum(path.stat().st_size for path in files) + len(files)
        done = 0
        for path in files:
            yield path
            done += path.stat().st_size + 1
            self.progress(done / total)


def _is_junk(relative: Path) -> bool:
    return any(part in _JUNK or part.startswith("._") for part in relative.parts)


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not _is_junk(Path(p.name)))


def has_one_root(folder: Path) -> bool:
    """Tell whether everything in ``folder`` is below one thing, or is one file."""
    return len(_visible(folder)) == 1


def lone_folder(folder: Path) -> Path | None:
    """Return the one folder inside ``folder`` when there is nothing else that counts."""
    entries = _visible(folder)
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else None


def read(source: Source, result: Path, format: str) -> Imported:
    """Make the dataset ``result``, a new folder, of ``source``.

    Raises
    ------
    Invalid
        There are no files, or they are not what ``format`` says; names the file.
    """
    if not source.files():
        raise Invalid(
            "There are no files in what was sent, so there is nothing to make a dataset of. "
            "Choose a folder that holds the data.",
            code="empty_dataset",
        )
    kind = detect(source.folder) if format == "auto" else format
    return _READERS[kind](source, result)


def detect(folder: Path) -> str:
    """Return the format that a folder is in: ``kpl``, ``image-folder`` or ``files``."""
    root = _below_wrappers(folder)
    if any(root.glob("*.data")) and any(root.glob("*.meta")):
        return "kpl"
    entries = _visible(root)
    classes = [p for p in entries if p.is_dir()]
    has_loose_pictures = any(_looks_like_picture(p) for p in entries if p.is_file())
    # One folder of pictures is a folder of pictures; it takes two to tell classes apart.
    if len(classes) >= 2 and not has_loose_pictures and all(map(_holds_mostly_pictures, classes)):
        return "image-folder"
    return "files"


def _below_wrappers(folder: Path) -> Path:
    """Return the folder itself, or what it wraps: a lone folder that has folders or a dataset."""
    lone = lone_folder(folder)
    if lone is None:
        return folder
    inner = _visible(lone)
    wraps = any(p.is_dir() or p.suffix == ".meta" for p in inner)
    return _below_wrappers(lone) if wraps else folder


def _looks_like_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURE_SUFFIXES


def _holds_mostly_pictures(folder: Path) -> bool:
    files = [p for p in plain_files(folder) if not _is_junk(p.relative_to(folder))]
    return bool(files) and sum(map(_looks_like_picture, files)) * 2 >= len(files)


def read_kpl(source: Source, result: Path) -> Imported:
    """Take a dataset that is in the KPL format already, after a look at every record."""
    root = _below_wrappers(source.folder)
    try:
        summary = check(root, every_record=True)
        source.progress(0.5)
        wanted = _files_of_dataset(root, summary.data_name)
        for path in wanted:
            _take(path, result / path.relative_to(root))
        with ReadOnlyDataset(result) as reader:
            classes = count_classes(reader)
    except DatasetError as error:
        raise Invalid(
            f"This is not a whole KPL dataset: {error}",
            code="bad_dataset",
            detail={"format": "kpl"},
        ) from error
    source.progress(1.0)
    others = [p for p in source.files() if p not in set(wanted)]
    return Imported(
        records=summary.records,
        bytes=size_of(result),
        fields=describe(summary.record_type),
        classes=classes,
        skipped=[f"{source.path_of(p)}: does not belong to the dataset" for p in others],
        format="kpl",
    )


def _files_of_dataset(root: Path, name: str) -> list[Path]:
    parts = [root / f"{name}.{suffix}" for suffix in ("data", "index", "meta", "prop")]
    beside = root / "files"
    return [p for p in parts if p.is_file()] + (
        list(plain_files(beside)) if beside.is_dir() else []
    )


def _take(source: Path, target: Path) -> None:
    """Bring a file into the result; a link saves the copy, and the source is removed afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target)


def read_files(source: Source, result: Path) -> Imported:
    """Make one record of each file: path (with its root folder), contentType, content."""
    files = source.files()
    is_large = any(path.stat().st_size > MAX_INLINE_BYTES for path in files)
    record_type = {
        "path": BasicType.String,
        "contentType": BasicType.String,
        "content": BasicType.File if is_large else BasicType.ByteArray,
    }
    with WriteOnlyDataset(result, "root", record_type) as writer:
        for path in source.read(files):
            writer.write(
                {
                    "path": source.path_of(path),
                    "contentType": content_type(path),
                    "content": path if is_large else path.read_bytes(),
                }
            )
    return Imported(
        records=len(files), bytes=size_of(result), fields=describe(record_type), format="files"
    )


def read_image_folder(source: Source, result: Path) -> Imported:
    """Make a classification dataset of one folder per class; what is no picture is left out.

    ``class_id`` is the place of the class in the sorted names (runtime contract, section 6).
    """
    root = _below_wrappers(source.folder)
    names = [p.name for p in _visible(root) if p.is_dir()]
    if not names:
        raise Invalid(
            "An image folder has one folder per class with pictures inside; there is no folder "
            "here. Sort the pictures into folders, or import them as plain files.",
            code="no_classes",
        )
    files = source.files()
    counts, skipped = _write_pictures(source, files, root, names, result)
    if not counts:
        raise Invalid(
            f"None of the {len(files)} files is a picture in a folder of its class. "
            f"The first: {skipped[0]}.",
            code="no_pictures",
            detail={"skipped": skipped[:MAX_SKIPPED_TOLD]},
        )
    classes: list[Mapping[str, Any]] = [{"class_name": n, "count": counts[n]} for n in names]
    return Imported(
        records=counts.total(),
        bytes=size_of(result),
        fields=describe(ClassificationDatasetDefine),
        classes=classes[:MAX_CLASSES_COUNTED],
        skipped=skipped,
        format="image-folder",
    )


def _write_pictures(
    source: Source, files: list[Path], root: Path, names: list[str], result: Path
) -> tuple[Counter[str], list[str]]:
    """Write the records; return how many there are of each class, and what was left out and why."""
    numbers = {name: number for number, name in enumerate(names)}
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    with WriteOnlyDataset(result, "root", ClassificationDatasetDefine) as writer:
        for path in source.read(files):
            problem = _why_left_out(path, root)
            if problem:
                skipped.append(f"{source.path_of(path)}: {problem}")
                continue
            label = path.relative_to(root).parts[0]
            counts[label] += 1
            content = path.read_bytes()
            writer.write(
                {
                    "path": source.path_of(path),
                    "content": content,
                    "contentType": pictures.media_type(content) or content_type(path),
                    "class_name": label,
                    "class_id": numbers[label],
                }
            )
    return counts, skipped


def _why_left_out(path: Path, root: Path) -> str | None:
    if path.parent == root or not path.is_relative_to(root):
        return "lies beside the folders of the classes"
    size = path.stat().st_size
    if size > MAX_INLINE_BYTES:
        return f"has {size} bytes; a picture may have {MAX_INLINE_BYTES}"
    return pictures.why_no_picture(path)


def content_type(path: Path) -> str:
    """Return a file's media type by its name."""
    return _TYPES.guess_type(path.name)[0] or "application/octet-stream"


def describe(record_type: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return name and type of each field, as tables head their columns."""

    def word(kind: object) -> str:
        return "List" if isinstance(kind, list) else "Map" if isinstance(kind, dict) else str(kind)

    return [{"name": name, "type": word(kind)} for name, kind in record_type.items()]


def label_columns(record_type: Mapping[str, Any]) -> list[str]:
    """Return the fields that hold class names: the record's own, or its objects'."""
    found = ["class_name"] if record_type.get("class_name") == "String" else []
    objects = record_type.get("object")
    if isinstance(objects, list) and isinstance(objects[0], dict):
        found += ["object"] if objects[0].get("name") == "String" else []
    return found


def labels(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the classes that one record names; reads what :func:`label_columns` named."""
    if "class_name" in record:
        yield record["class_name"]
    for thing in record.get("object", ()):
        yield thing["name"]


def count_classes(reader: ReadOnlyDataset) -> list[Mapping[str, Any]]:
    """Return how many records carry each class; none where there are no classes."""
    columns = label_columns(reader.record_type)
    if not columns:
        return []
    counts: Counter[str] = Counter()
    with ReadOnlyDataset(reader.data_dir, reader.data_name, columns) as projected:
        for record in projected:
            counts.update(set(labels(record)))
    return [
        {"class_name": name, "count": count}
        for name, count in sorted(counts.items())[:MAX_CLASSES_COUNTED]
    ]


_READERS: Mapping[str, Callable[[Source, Path], Imported]] = {
    "kpl": read_kpl,
    "files": read_files,
    "image-folder": read_image_folder,
}
