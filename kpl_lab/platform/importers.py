"""Imports: what was sent becomes the files of a dataset or model version.

Runs as a process of its own (``python -m kpl_lab.platform.importers JOB``) with a ceiling on its
memory, because it opens files of strangers. JOB is JSON of :class:`Job`; lines on standard output
are JSON too, and short: ``{"progress": 0–1}``, and ``{"error": …}`` where it fails. What was
imported, which may be megabytes, is in the file ``Job.report``, whole or not at all. A job starts
from scratch each time, so one whose process died is simply run again.
"""

from __future__ import annotations

import ctypes
import json
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kpl_lab.errors import Invalid, KplError
from kpl_lab.platform.domain import imports
from kpl_lab.platform.domain.imports import MAX_SKIPPED_TOLD, Imported, Source
from kpl_lab.platform.storage import archives
from kpl_lab.platform.storage.archives import ArchiveLimits
from kpl_lab.platform.storage.files import explain_full_disk, make_read_only, remove_tree

ARCHIVE_SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".zip",
)  # fmt: skip
UNPACK_SHARE = 0.3
_PROGRESS_STEP = 0.02
# A line must stay far below the 64 KiB in which asyncio reads one.
_MESSAGE_CHARACTERS = 4000
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Job:
    """One import.

    Attributes
    ----------
    source
        The uploaded file, or a folder (a task's output), which is left as it is.
    filename
        How it was called where it came from.
    format
        Of a dataset: auto, kpl, files or image-folder.
    work
        Folder of this job alone, emptied first and removed at the end.
    result
        Folder that is made, beside ``work`` and on the same disk.
    total_bytes, entries, ratio
        Bounds of an archive.
    memory_mb
        MiB that the process may use.
    kind
        ``dataset`` or ``model``.
    """

    source: str
    filename: str
    format: str
    work: str
    result: str
    total_bytes: int
    entries: int
    ratio: int
    memory_mb: int
    kind: str = "dataset"

    @property
    def report(self) -> Path:
        """The file beside ``result`` that says what was imported."""
        return Path(f"{self.result}.json")


Progress = Callable[[float], None]


def is_packed(path: Path, filename: str) -> bool:
    """Tell whether a file is an archive to unpack, by its name and its content.

    By content alone it cannot be told: ``model.pt``, ``.npz`` and ``.keras`` are zips that are
    meant to stay one file.

    Raises
    ------
    Invalid
        It is called an archive and is none.
    """
    if not filename.lower().endswith(ARCHIVE_SUFFIXES):
        return False
    if archives.is_archive(path):
        return True
    raise Invalid(
        f"{filename!r} is called an archive, but its content is none; it may have been cut short "
        "on its way. Pack and send it again.",
        code="bad_archive",
        detail={"filename": filename},
    )


def _stem(filename: str) -> str:
    """Return an archive's name without its suffix, as a folder could be called."""
    suffix = max((s for s in ARCHIVE_SUFFIXES if filename.lower().endswith(s)), key=len)
    return filename[: -len(suffix)].strip(". ") or "data"


def _open(job: Job) -> tuple[Path, str]:
    """Return the folder with what was sent, and the root folder that its paths lack."""
    source, work = Path(job.source), Path(job.work)
    remove_tree(work)
    remove_tree(Path(job.result))
    if source.is_dir():
        return source, ""
    work.mkdir(parents=True)
    if is_packed(source, job.filename):
        limits = ArchiveLimits(total_bytes=job.total_bytes, entries=job.entries, ratio=job.ratio)
        archives.unpack(source, work, limits)
        return work, "" if imports.has_one_root(work) else _stem(job.filename)
    shutil.copyfile(source, work / (Path(job.filename).name or "data"))
    return work, ""


def import_dataset(job: Job, progress: Progress) -> Imported:
    """Turn what was sent into a dataset folder ``job.result``.

    Raises
    ------
    Invalid, TooLarge, StorageFull
        What was sent cannot be a dataset of that format; says why.
    """
    result = Path(job.result)
    with explain_full_disk():
        folder, root = _open(job)
        progress(UNPACK_SHARE)

        def onward(share: float) -> None:
            progress(UNPACK_SHARE + (1 - UNPACK_SHARE) * share)

        imported = imports.read(Source(folder, root, onward), result, job.format)
        remove_tree(Path(job.work))
    make_read_only(result)
    return imported


def import_model(job: Job, progress: Progress) -> list[dict[str, Any]]:
    """Put a model's files into ``job.result``: one file, or a packed folder without its top.

    Returns
    -------
    list
        Path and size of each file.

    Raises
    ------
    Invalid, TooLarge, StorageFull
        There is nothing in it, or it is a broken archive.
    """
    result = Path(job.result)
    with explain_full_disk():
        folder, _ = _open(job)
        progress(UNPACK_SHARE)
        if folder == Path(job.source):
            shutil.copytree(folder, result)
        else:
            (imports.lone_folder(folder) or folder).rename(result)
        remove_tree(Path(job.work))
    files = archives.listing(result)
    if not files:
        raise Invalid(
            f"{job.filename!r} holds no files, so there is no model in it.", code="empty_model"
        )
    make_read_only(result)
    return files


def run(job: Job, progress: Progress) -> dict[str, Any]:
    """Do one job and return what its report says.

    Raises
    ------
    KplError
        What was sent cannot be used; says why.
    """
    try:
        if job.kind == "model":
            return {"files": import_model(job, progress)}
        found = asdict(import_dataset(job, progress))
    except KplError:
        remove_tree(Path(job.work))
        remove_tree(Path(job.result))
        raise
    left_out = found["skipped"]
    if len(left_out) > MAX_SKIPPED_TOLD:
        more = len(left_out) - MAX_SKIPPED_TOLD
        found["skipped"] = [*left_out[:MAX_SKIPPED_TOLD], f"… and {more} more files"]
    return found


def _report(job: Job, found: dict[str, Any]) -> None:
    fresh = job.report.with_suffix(".part")
    with explain_full_disk():
        fresh.write_text(json.dumps(found))
        fresh.replace(job.report)


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End when the controller does: it starts the job anew, and two would be in each other's way."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run one job and tell how it went."""
    _end_with_parent()
    job = Job(**json.loads(sys.argv[1]))
    ceiling = job.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = 0.0

    def progress(value: float) -> None:
        nonlocal told
        if value - told >= _PROGRESS_STEP:
            told = value
            _say(progress=round(value, 3))

    try:
        _report(job, run(job, progress))
    except KplError as error:
        _say(error={"code": error.code, "message": error.message[:_MESSAGE_CHARACTERS]})
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
