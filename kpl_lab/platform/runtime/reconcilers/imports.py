"""Versions of datasets and models being made of uploads, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from kpl_lab.errors import StorageFull, Unavailable
from kpl_lab.platform.domain import access, datasets, models, uploads
from kpl_lab.platform.importers import Job
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.files import remove_tree
from kpl_lab.platform.storage.records.assets import DatasetVersionRecord, ModelVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.retry import backoff


class ImportReconciler:
    """Prepares versions whose upload is complete; a dead import is simply run again.

    Parameters
    ----------
    kind
        ``dataset`` or ``model``.
    """

    def __init__(self, world: World, kind: str) -> None:
        self._world = world
        self._kind = kind

    async def reconcile(self, id: int) -> float | None:
        """Prepare one version."""
        version = await self._world.read(lambda s: self._get(s, id))
        if version is None or version.state != "preparing" or version.upload_id is None:
            return None
        upload = await self._world.read(lambda s: s.uploads.get(version.upload_id or 0))
        files = self._world.context.files
        if upload is None:
            why = "The upload is gone; send the data again."
            await self._world.write(partial(_fail, version=version, reason="upload_gone", why=why))
            return None
        job = self._job(version, files.upload(upload.id), upload.filename)
        said = await self._run(job, version)
        if "imported" in said:
            if await self._publish(version, job):
                found = said["imported"]
                await self._end(upload.id, partial(_finish, version=version, found=found))
        else:
            error = said.get("error") or {
                "code": "import_crashed",
                "message": "The import ended without a word; the file may be too large for the "
                "memory that imports may use.",
            }
            reason, why = error["code"], error["message"]
            await self._end(upload.id, partial(_fail, version=version, reason=reason, why=why))
        await asyncio.to_thread(job.report.unlink, missing_ok=True)
        return None

    async def _end(self, upload: int, change: Callable[[Store], None]) -> None:
        """Note how it ended and forget the upload: together, or a crash would leave its bytes."""

        def end(store: Store) -> None:
            change(store)
            uploads.discard(store, self._world.context.files, upload)

        await self._world.write(end)

    def _get(self, store: Store, id: int) -> DatasetVersionRecord | ModelVersionRecord | None:
        if self._kind == "dataset":
            return store.dataset_versions.get(id)
        return store.model_versions.get(id)

    def _job(
        self, version: DatasetVersionRecord | ModelVersionRecord, source: Path, filename: str
    ) -> Job:
        options = self._world.context.options
        work = self._world.incoming(f"{self._kind}-{version.id}")
        return Job(
            source=str(source),
            filename=filename,
            format=version.format if isinstance(version, DatasetVersionRecord) else "auto",
            work=f"{work}-work",
            result=f"{work}-result",
            total_bytes=options.max_unpacked_bytes,
            entries=options.max_archive_entries,
            ratio=options.max_archive_ratio,
            memory_mb=options.import_memory_mb,
            kind=self._kind,
        )

    async def _run(
        self, job: Job, version: DatasetVersionRecord | ModelVersionRecord
    ) -> dict[str, Any]:
        """Run a job and return what it imported, or the last thing it said."""
        self._world.fence.check()
        await asyncio.to_thread(_make_ready, job)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kpl_lab.platform.importers",
            json.dumps(asdict(job)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None  # noqa: S101 (asked for just above)
        said: dict[str, Any] = {}
        try:
            async for line in process.stdout:
                said = json.loads(line)
                if "progress" in said:
                    await self._tell_progress(version, said["progress"])
            await process.wait()
        finally:
            if process.returncode is None:
                # It is begun anew by the next controller; to wait for it may take minutes.
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return await asyncio.to_thread(_reported, job) or said

    async def _tell_progress(
        self, version: DatasetVersionRecord | ModelVersionRecord, progress: float
    ) -> None:
        if not isinstance(version, DatasetVersionRecord):
            return

        def change(store: Store) -> None:
            record = store.datasets.get(version.dataset_id)
            store.dataset_versions.update(version.id, progress=progress)
            if record is not None:
                data = {"progress": progress}
                store.events.write(access.subject("datasets", record), "progress", data=data)

        await self._world.write(change)

    async def _publish(self, version: DatasetVersionRecord | ModelVersionRecord, job: Job) -> bool:
        """Put what was imported in its place; False where nobody wants it any more.

        While the storage is away or full it waits here, and says so: to import it all once more for
        each try would be worse.
        """
        waits = backoff(1.0, max_seconds=30.0)
        while True:
            try:
                await self._world.in_bucket_thread(self._place, version, job)
            except (Unavailable, StorageFull) as error:
                note = partial(_wait, version=version, text=error.message)
                if not await self._world.write(note):
                    return False
                version = replace(version, message=error.message)
                await asyncio.sleep(next(waits))
            else:
                return True

    def _place(self, version: DatasetVersionRecord | ModelVersionRecord, job: Job) -> None:
        files = self._world.context.files
        if isinstance(version, DatasetVersionRecord):
            target = files.dataset(version.dataset_id, version.number)
        else:
            target = files.model(version.model_id, version.number)
        result = Path(job.result)
        result.chmod(0o755)
        self._world.publish(result, target)
        target.chmod(0o555)


def _make_ready(job: Job) -> None:
    """Make the folder of a job, and forget what earlier tries have left, of earlier controllers too."""
    job.report.parent.mkdir(parents=True, exist_ok=True)
    job.report.unlink(missing_ok=True)
    own, of = (Path(job.work), Path(job.result)), Path(job.work).name.rsplit("-", 2)[0]
    for path in job.report.parent.glob(f"{of}-*"):
        if path.is_dir() and path not in own:
            remove_tree(path)
        elif path.is_file():
            path.unlink()


def _reported(job: Job) -> dict[str, Any] | None:
    """Return what a job that ended well imported."""
    try:
        return {"imported": json.loads(job.report.read_text())}
    except FileNotFoundError:
        return None


def _finish(
    store: Store, version: DatasetVersionRecord | ModelVersionRecord, found: dict[str, Any]
) -> None:
    if isinstance(version, DatasetVersionRecord):
        datasets.finish_version(store, version, datasets.Imported(**found))
    else:
        models.finish_version(store, version, found["files"])


def _wait(store: Store, version: DatasetVersionRecord | ModelVersionRecord, text: str) -> bool:
    if isinstance(version, DatasetVersionRecord):
        return datasets.version_waits(store, version, text)
    return models.version_waits(store, version, text)


def _fail(
    store: Store, version: DatasetVersionRecord | ModelVersionRecord, reason: str, why: str
) -> None:
    if isinstance(version, DatasetVersionRecord):
        datasets.fail_version(store, version, reason, why)
    else:
        models.fail_version(store, version, reason, why)
