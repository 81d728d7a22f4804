"""Imports: what came in becomes a dataset in the KPL format.

Runs as a process of its own (``python -m kpl_lab.platform.importers JOB``) with a ceiling on its
memory, because it opens files of strangers. JOB is JSON of :class:`Job`; lines on standard output
are JSON too: ``{"progress": 0–1}``, at last ``{"imported": …}`` or ``{"error": …}``.
"""

from __future__ import annotations

import json
import mimetypes
import resource
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from kpl_dataset import DatasetError, ReadOnlyDataset, WriteOnlyDataset, check
from kpl_dataset.common import ClassificationDatasetDefine
from kpl_lab.errors import Invalid, KplError
from kpl_lab.platform.domain.datasets import Imported
from kpl_lab.platform.storage import archives
from kpl_lab.platform.storage.archives import ArchiveLimits
from kpl_lab.platform.storage.files import make_read_only, size_of

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
PLAIN_TYPE = {"path": "String", "contentType": "String", "content": "ByteArray"}
IMAGE_TYPE = ClassificationDatasetDefine
MAX_CLASSES_COUNTED = 1000
MAX_SKIPPED_TOLD = 200
_IGNORED = {"__MACOSX", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One import: the packed file, what it is called, and where its result goes."""

    source: str
    filename: str
    format: str
    work: str
    result: str
    total_bytes: int
    entries: int
    ratio: int
    memory_mb: int


Progress = Callable[[float], None]


def import_dataset(job: Job, progress: Progress) -> Imported:
    """Turn the packed file into a dataset folder ``job.result``.

    Raises
    ------
    Invalid, TooLarge, StorageFull
        What was sent cannot be a dataset of that format; says why.
    """
    unpacked = Path(job.work)
    unpacked.mkdir(parents=True, exist_ok=True)
    source = Path(job.source)
    if archives.is_archive(source):
        limits = ArchiveLimits(total_bytes=job.total_bytes, entries=job.entries, ratio=job.ratio)
        archives.unpack(source, unpacked, limits)
    else:
        shutil.copyfile(source, unpacked / job.filename)
    progress(0.3)
    if not any(archives.plain_files(unpacked)):
        raise Invalid(
            "There are no files in what was sent, so there is nothing to make a dataset of. "
            "Choose a folder that holds the data.",
            code="empty_dataset",
        )
    kind = job.format if job.format != "auto" else detect(unpacked)
    importer = {"kpl": import_kpl, "files": import_files, "image-folder": import_image_folder}[kind]
    imported = importer(unpacked, Path(job.result), progress)
    make_read_only(Path(job.result))
    return imported


def detect(folder: Path) -> str:
    """Return the format that a folder is in."""
    root = archives.lose_top_folder(folder)
    if any(root.glob("*.data")) and any(root.glob("*.meta")):
        return "kpl"
    folders = [p for p in root.iterdir() if p.name not in _IGNORED]
    if folders and all(p.is_dir() and _holds_only_images(p) for p in folders):
        return "image-folder"
    return "files"


def _holds_only_images(folder: Path) -> bool:
    names = [p for p in folder.iterdir() if p.name not in _IGNORED]
    return bool(names) and all(p.is_file() and p.suffix.lower() in IMAGE_SUFFIXES for p in names)


def import_kpl(folder: Path, result: Path, progress: Progress) -> Imported:
    """Take a dataset that is in the KPL format already, after a look at every record."""
    root = archives.lose_top_folder(folder)
    try:
        summary = check(root, every_record=True)
    except DatasetError as error:
        raise Invalid(f"This is not a whole KPL dataset: {error}", code="bad_dataset") from error
    progress(0.8)
    shutil.move(root, result)
    with ReadOnlyDataset(result) as reader:
        classes = count_classes(reader)
    return Imported(
        records=summary.records,
        bytes=summary.byte_size,
        fields=describe(summary.record_type),
        classes=classes,
        format="kpl",
    )


def import_files(folder: Path, result: Path, progress: Progress) -> Imported:
    """Make one record of each file: path, contentType, content. The root folder stays in paths."""
    files = [p for p in archives.plain_files(folder) if not _is_ignored(p, folder)]
    with WriteOnlyDataset(result, "root", PLAIN_TYPE) as writer:
        for count, path in enumerate(files, 1):
            writer.write(
                {
                    "path": str(path.relative_to(folder)),
                    "contentType": content_type(path),
                    "content": path.read_bytes(),
                }
            )
            progress(0.3 + 0.7 * count / len(files))
    return Imported(
        records=len(files), bytes=size_of(result), fields=describe(PLAIN_TYPE), format="files"
    )


def import_image_folder(folder: Path, result: Path, progress: Progress) -> Imported:
    """Make a classification dataset of one folder per class; what is no picture is left out.

    ``class_id`` is the place of the class in the sorted names (runtime contract, section 6).
    """
    root = archives.lose_top_folder(folder)
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name not in _IGNORED)
    if not names:
        raise Invalid(
            "An image folder has one folder per class with pictures inside; there is no folder "
            "here. Sort the pictures into folders, or import them as plain files.",
            code="no_classes",
        )
    files = [p for p in archives.plain_files(root) if not _is_ignored(p, root)]
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    with WriteOnlyDataset(result, "root", dict(IMAGE_TYPE)) as writer:
        for count, path in enumerate(files, 1):
            problem = why_no_picture(path) if path.parent != root else "lies beside the classes"
            relative = path.relative_to(root)
            if problem:
                skipped.append(f"{relative}: {problem}")
                continue
            label = relative.parts[0]
            counts[label] += 1
            writer.write(
                {
                    "path": str(path.relative_to(folder)),
                    "content": path.read_bytes(),
                    "contentType": content_type(path),
                    "class_name": label,
                    "class_id": names.index(label),
                }
            )
            progress(0.3 + 0.7 * count / len(files))
    if not counts:
        raise Invalid(
            f"None of the {len(files)} files is a picture. The first: {skipped[0]}.",
            code="no_pictures",
            detail={"skipped": skipped[:MAX_SKIPPED_TOLD]},
        )
    return Imported(
        records=sum(counts.values()),
        bytes=size_of(result),
        fields=describe(IMAGE_TYPE),
        classes=[{"class_name": name, "count": counts[name]} for name in names if counts[name]],
        skipped=skipped[:MAX_SKIPPED_TOLD],
        format="image-folder",
    )


def _is_ignored(path: Path, root: Path) -> bool:
    return any(part in _IGNORED for part in path.relative_to(root).parts)


def why_no_picture(path: Path) -> str | None:
    """Return why a file cannot be shown as a picture; None when it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.verify()
    except UnidentifiedImageError:
        return "is not a picture"
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return "has more pixels than is safe to open"
    except (OSError, SyntaxError, ValueError) as error:
        return f"is a broken picture ({error})"
    return None


def content_type(path: Path) -> str:
    """Return a file's media type by its name."""
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def describe(record_type: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return name and type of each field, as tables head their columns."""

    def word(kind: object) -> str:
        return "List" if isinstance(kind, list) else "Map" if isinstance(kind, dict) else str(kind)

    return [{"name": name, "type": word(kind)} for name, kind in record_type.items()]


def _labels(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the classes that one record names: its own, or those of its objects."""
    if isinstance(record.get("class_name"), str):
        yield record["class_name"]
    elif isinstance(record.get("object"), list):
        yield from (o["name"] for o in record["object"] if isinstance(o.get("name"), str))


def count_classes(reader: ReadOnlyDataset) -> list[Mapping[str, Any]]:
    """Return how many records or objects carry each class; none where there are no classes."""
    if not {"class_name", "object"} & set(reader.record_type):
        return []
    counts: Counter[str] = Counter()
    for record in reader:
        counts.update(_labels(record))
    return [
        {"class_name": name, "count": count}
        for name, count in sorted(counts.items())[:MAX_CLASSES_COUNTED]
    ]


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run one job and tell how it went."""
    job = Job(**json.loads(sys.argv[1]))
    ceiling = job.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    told = 0.0

    def progress(value: float) -> None:
        nonlocal told
        if value - told >= 0.02:
            told = value
            _say(progress=round(value, 3))

    try:
        _say(imported=asdict(import_dataset(job, progress)))
    except KplError as error:
        _say(error={"code": error.code, "message": error.message})
        return 1
    except MemoryError:
        _say(
            error={
                "code": "out_of_memory",
                "message": f"The import needed more than {job.memory_mb} MiB of memory; "
                "split the largest files, or ask an administrator to raise the limit.",
            }
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
