"""A bucket of an S3 server, as far as the platform needs one; its failures are the house's errors.

boto3 and not s3fs: half-sent uploads have to be listed and given up, which needs S3's own calls, and
everything that calls this has threads, none an event loop.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.util
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpl_lab.errors import Invalid, KplError
from kpl_lab.platform.storage.bucket_errors import (
    NOT_THERE,
    Explained,
    bad_address,
    explain_bucket,
    is_broken_off,
    is_silence,
    unreachable,
)
from kpl_lab.retry import backoff

MIB = 1 << 20
PART_BYTES = 16 * MIB
AT_ONCE = 8
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
ATTEMPTS = 3
# After no answer, everybody else is told so at once for so long.
AWAY_SECONDS = 5.0
_BATCH = 1000

Tell = Callable[[int], None]
"""Is told how many more bytes have been moved."""


@dataclass(frozen=True)
class Object:
    """Something in the bucket."""

    key: str
    modified: dt.datetime


@dataclass(frozen=True)
class HalfSent:
    """An upload in parts that was begun and neither ended nor given up."""

    key: str
    id: str
    begun: dt.datetime


class Bucket:
    """What lies below one prefix of a bucket; keys are without it.

    Where the server is and who we are, boto3 reads from the usual variables (``AWS_ENDPOINT_URL``,
    ``AWS_ACCESS_KEY_ID``, …), files and roles.

    Parameters
    ----------
    url
        ``s3://bucket/prefix``, as ``KPL_STORAGE_URL`` was checked.
    attempts
        How often a request is made before it has failed, with back-off, and how often an answer is
        asked for again that ended before it was whole.

    Raises
    ------
    Invalid
        The client for S3 is not installed.
    """

    def __init__(self, url: str, *, attempts: int = ATTEMPTS) -> None:
        # An extra that an installation on a folder does without.
        if importlib.util.find_spec("boto3") is None:
            raise Invalid(
                "KPL_STORAGE_URL is set, but boto3 is not installed: `pip install 'kpl-lab[s3]'`.",
                code="no_s3_client",
            )
        self.url = url
        self.name, _slash, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._attempts = attempts
        self._lock = threading.Lock()
        self._made: Any = None
        self._silence: KplError | None = None
        self._silent_until = 0.0

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 has no types)
        with self._lock:
            if self._made is None:
                try:
                    self._made = _connect(self._attempts)
                except ValueError as error:
                    raise bad_address(str(error)) from error
            return self._made

    @contextmanager
    def _asking(self) -> Iterator[Explained]:
        """Turn failures into the house's errors; while the server says nothing, ask it nothing."""
        silence = self._silence
        if silence is not None and time.monotonic() < self._silent_until:
            raise unreachable(self.url, str(silence.detail.get("error", "")))
        try:
            with explain_bucket(self.url) as explained:
                yield explained
        except KplError as error:
            if is_silence(error):
                self._silence, self._silent_until = error, time.monotonic() + AWAY_SECONDS
            raise

    def check(self) -> None:
        """Write, read and remove something, as everybody who uses it will.

        Raises
        ------
        KplError
            The server, the bucket or the rights are not there; says which.
        """
        key, text = f"probe-{secrets.token_hex(4)}", b"KPL Lab"
        self.put(key, text)
        with self._asking():
            self._client.get_object(Bucket=self.name, Key=self._prefix + key)["Body"].read()
        next(self.list("", limit=1), None)
        self.delete([key])

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data``, in place of what is there."""
        with self._asking():
            self._client.put_object(Bucket=self.name, Key=self._prefix + key, Body=data)

    def get(self, key: str) -> bytes | None:
        """Return what is kept; None where nothing is."""
        waits = backoff(0.2, max_seconds=5)
        for attempt in range(self._attempts):
            with self._asking():
                try:
                    found = self._client.get_object(Bucket=self.name, Key=self._prefix + key)
                except Exception as error:
                    if _code(error) in NOT_THERE:
                        return None
                    raise
                try:
                    data: bytes = found["Body"].read()
                except Exception as error:
                    # The client itself repeats requests, but not the reading of an answer.
                    if not is_broken_off(error) or attempt + 1 == self._attempts:
                        raise
                else:
                    return data
            time.sleep(next(waits))
        return None

    def upload(self, source: Path, key: str, tell: Tell) -> str:
        """Send a large file in parts; return its digest. A failure gives the parts up."""
        with self._asking(), self._manager() as manager:
            sent = manager.upload(
                str(source), self.name, self._prefix + key, subscribers=[_progress(tell)]
            )
            digest = digest_of(source)
            sent.result()
        return digest

    def download(self, key: str, target: Path, tell: Tell) -> str | None:
        """Fetch a large file in parts; return its digest, None where it is not there."""
        with self._asking(), self._manager() as manager:
            try:
                manager.download(
                    self.name, self._prefix + key, str(target), subscribers=[_progress(tell)]
                ).result()
            except Exception as error:
                if _code(error) in NOT_THERE:
                    return None
                raise
        return digest_of(target)

    def list(self, prefix: str, *, limit: int = _BATCH) -> Iterator[Object]:
        """Yield what lies below ``prefix``, in the order of its keys; ``limit`` a request."""
        start = ""
        while True:
            with self._asking():
                found = self._client.list_objects_v2(
                    Bucket=self.name,
                    Prefix=self._prefix + prefix,
                    StartAfter=start,
                    MaxKeys=limit,
                )
            for one in found.get("Contents", ()):
                start = one["Key"]
                yield Object(start[len(self._prefix) :], one["LastModified"])
            if not found.get("IsTruncated"):
                return

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; no-op for what is not there."""
        waiting = [{"Key": self._prefix + key} for key in keys]
        for start in range(0, len(waiting), _BATCH):
            batch = {"Objects": waiting[start : start + _BATCH], "Quiet": True}
            with self._asking() as explained:
                found = self._client.delete_objects(Bucket=self.name, Delete=batch)
                for error in found.get("Errors", ()):
                    explained.refuse(str(error.get("Code")), str(error.get("Message")))

    def half_sent(self) -> Iterator[HalfSent]:
        """Yield the uploads in parts that nobody has ended."""
        with self._asking():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name, Prefix=self._prefix
            )
            for page in pages:
                for one in page.get("Uploads", ()):
                    key = one["Key"][len(self._prefix) :]
                    yield HalfSent(key, one["UploadId"], one["Initiated"])

    def give_up(self, upload: HalfSent) -> None:
        """Remove the parts of an upload; no-op where it is gone."""
        with self._asking():
            try:
                self._client.abort_multipart_upload(
                    Bucket=self.name, Key=self._prefix + upload.key, UploadId=upload.id
                )
            except Exception as error:
                if _code(error) != "NoSuchUpload":
                    raise

    def _manager(self) -> Any:  # noqa: ANN401
        from s3transfer.manager import TransferConfig, TransferManager

        config = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_request_concurrency=AT_ONCE,
            # Pieces of 256 KiB that wait for the disk lie in memory.
            max_io_queue_size=64,
        )
        return TransferManager(self._client, config)


def digest_of(path: Path) -> str:
    """Return the digest of a file by which it is checked."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _connect(attempts: int) -> Any:  # noqa: ANN401
    import boto3.session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=4 * AT_ONCE,
        # Signatures check what is sent and our digests what comes back; many servers do not know
        # the checksums that newer clients add.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client("s3", config=config)


def _code(error: Exception) -> str:
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _progress(tell: Tell) -> Any:  # noqa: ANN401
    from s3transfer.subscribers import BaseSubscriber

    class Progress(BaseSubscriber):  # type: ignore[misc]
        """Passes on what the library tells."""

        def on_progress(self, bytes_transferred: int, **_rest: object) -> None:
            """Tell of further bytes; fewer where a part has to be moved once more."""
            tell(bytes_transferred)

    return Progress()
