"""Finished things in a bucket: whole folders that are sent, fetched and removed by name.

A name is a path below the storage folder, as in ``datasets/3/1``. The files go to
``trees/<name>/<token>/``, the manifest, which makes it exist, to ``manifests/<name>.json`` last.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from os import utime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from kpl_lab.errors import Conflict, KplError
from kpl_lab.platform.storage.bucket import Bucket, Tell
from kpl_lab.platform.storage.files import MayCommit, free_to_commit
from kpl_lab.platform.storage.manifests import (
    ITSELF,
    PACK_BYTES,
    BadManifest,
    KeptFile,
    Manifest,
    Pack,
    parsed,
    planned,
)

_TREES, _MANIFESTS, _OWNER = "trees/", "manifests/", "kpl-lab.json"
_JSON = ".json"
# What is below ``trees/``: a name, the token of a try, the number of the object.
_OBJECT = re.compile(r"(.+)/([0-9a-f]{16})/[0-9]{6,}")
_WORKERS = 4
T = TypeVar("T")


def damaged(name: str, what: str) -> KplError:
    """Return the error of something in the bucket that is not as it was put there."""
    return Conflict(
        f"{name} is damaged in the object storage: {what}. Restore it there from a backup, or make "
        "the version again.",
        code="storage_damaged",
        detail={"name": name, "what": what},
    )


@dataclass(frozen=True)
class Owner:
    """Whose a bucket is; the word is its database's, empty where none was noted."""

    instance: str
    word: str = ""


class Remote:
    """What is kept in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def owner(self) -> Owner | None:
        """Return whose bucket this is; None where nobody has claimed it."""
        found = self.bucket.get(_OWNER)
        if found is None:
            return None
        try:
            noted = json.loads(found)
            return Owner(str(noted["instance"]), str(noted.get("database", "")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(_OWNER, "it is no note of KPL Lab's") from error

    def own(self, owner: Owner) -> None:
        """Note whose bucket this is."""
        noted = {"instance": owner.instance, "database": owner.word}
        self.bucket.put(_OWNER, json.dumps(noted).encode())

    def send(
        self,
        source: Path,
        name: str,
        may_commit: MayCommit = free_to_commit,
        tell: Tell = lambda _bytes: None,
    ) -> Manifest:
        """Keep a folder or a file under a name, in place of what is there: whole or not at all.

        Parameters
        ----------
        may_commit
            Is called right before it comes to exist; what it raises leaves things as they were.
        tell
            Is told of the bytes that go out; what it raises gives the sending up.
        """
        prefix = f"{_TREES}{_quoted(name)}/{secrets.token_hex(8)}"
        plan = planned(source, prefix)
        try:
            sent = _each(partial(self._send_pack, source, tell), plan.packs)
            made = replace(plan, packs=tuple(sorted(sent, key=lambda pack: pack.key)))
            may_commit()
            self.bucket.put(_manifest(name), made.dumped())
        except Exception:
            # Where the server is away, this comes to nothing and housekeeping does it.
            with contextlib.suppress(KplError):
                self._remove_below(f"{prefix}/")
            raise
        return made

    def _send_pack(self, source: Path, tell: Tell, pack: Pack) -> Pack:
        first = pack.files[0]
        tell(0)  # it may be over already
        if first.size >= PACK_BYTES:
            digest = self.bucket.upload(_place(source, first.path), pack.key, tell)
            return replace(pack, files=(replace(first, digest=digest),))
        files, whole = [], bytearray()
        for file in pack.files:
            data = _place(source, file.path).read_bytes()
            whole += data
            digest = hashlib.sha256(data).hexdigest()
            files.append(replace(file, size=len(data), digest=digest))
        tell(len(whole))
        self.bucket.put(pack.key, bytes(whole))
        return replace(pack, files=tuple(files))

    def sent(self, source: Path, name: str, tell: Tell) -> Manifest:
        """Keep it unless the very same is kept already: names, sizes and times tell.

        What another database's thing of the same number has left is replaced.
        """
        found = self.manifest(name)
        if found is not None and _facts(found) == _facts(planned(source, "")):
            return found
        return self.send(source, name, tell=tell)

    def manifest(self, name: str) -> Manifest | None:
        """Return what is kept under a name; None where nothing is.

        Raises
        ------
        Conflict
            The manifest itself is damaged.
        """
        data = self.bucket.get(_manifest(name))
        if data is None:
            return None
        try:
            return parsed(data)
        except BadManifest as error:
            raise damaged(name, f"its manifest cannot be read ({error})") from error

    def fetch(self, name: str, manifest: Manifest, target: Path, tell: Tell) -> None:
        """Put what is kept under a name at ``target``, which is not there yet; read-only.

        Raises
        ------
        Conflict
            An object is missing, or is not as it was sent.
        """
        for path, _mode in manifest.folders:
            _place(target, path).mkdir(parents=True, exist_ok=True)
        for _none in _each(partial(self._fetch_pack, name, target, tell), manifest.packs):
            pass
        for path, mode in reversed(manifest.folders):
            _place(target, path).chmod(mode & 0o555 | stat.S_IRUSR | stat.S_IXUSR)

    def _fetch_pack(self, name: str, target: Path, tell: Tell, pack: Pack) -> None:
        first = pack.files[0]
        if first.size >= PACK_BYTES:
            place = _place(target, first.path)
            digest = self.bucket.download(pack.key, place, tell)
            if digest is None:
                raise damaged(name, f"the object {pack.key} is missing")
            _settle(name, place, first, digest)
            return
        data = self.bucket.get(pack.key)
        if data is None:
            raise damaged(name, f"the object {pack.key} is missing")
        at, view = 0, memoryview(data)
        for file in pack.files:
            place, part = _place(target, file.path), view[at : at + file.size]
            at += file.size
            place.write_bytes(part)
            _settle(name, place, file, hashlib.sha256(part).hexdigest())
        tell(len(data))

    def remove(self, name: str) -> None:
        """Remove what is kept under a name and below it; the manifests first."""
        manifests = [o.key for o in self.bucket.list(f"{_MANIFESTS}{_quoted(name)}/")]
        self.bucket.delete([_manifest(name), *manifests])
        self._remove_below(f"{_TREES}{_quoted(name)}/")

    def names(self) -> dict[str, dt.datetime]:
        """Return the names of everything that is kept, and since when."""
        return {
            unquote(one.key[len(_MANIFESTS) : -len(_JSON)]): one.modified
            for one in self.bucket.list(_MANIFESTS)
            if one.key.endswith(_JSON)  # others are not ours, as the folders some programs make
        }

    def remove_garbage(self, before: dt.datetime) -> int:
        """Remove what was sent before a time and never came to exist, or was replaced; say how much."""
        kept = self.names()
        trees: dict[str, dict[str, list[str]]] = {}
        for one in self.bucket.list(_TREES):
            ours = _OBJECT.fullmatch(one.key[len(_TREES) :])
            if ours and one.modified < before:
                name, token = ours.groups()
                trees.setdefault(unquote(name), {}).setdefault(token, []).append(one.key)
        garbage: list[str] = []
        for name, tokens in trees.items():
            found = self.manifest(name) if name in kept and len(tokens) > 1 else None
            used = {pack.key for pack in found.packs} if found else set[str]()
            if name not in kept or found is not None:
                garbage += [key for keys in tokens.values() for key in keys if key not in used]
        self.bucket.delete(garbage)
        for upload in self.bucket.half_sent():
            if upload.begun < before:
                self.bucket.give_up(upload)
        return len(garbage)

    def _remove_below(self, prefix: str) -> None:
        self.bucket.delete([found.key for found in self.bucket.list(prefix)])


def _each(work: Callable[[Pack], T], packs: Iterable[Pack]) -> Iterator[T]:
    """Do something for every pack, several at once; the first failure ends it."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        begun = [pool.submit(work, pack) for pack in packs]
        try:
            for done in as_completed(begun):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _settle(name: str, place: Path, file: KeptFile, digest: str) -> None:
    """Check a file that was fetched, and give it the time and the rights it had."""
    size = place.stat().st_size
    if size != file.size or digest != file.digest:
        what = f"{file.path} has {size} bytes in place of {file.size}"
        if size == file.size:
            what = f"the content of {file.path} has changed"
        raise damaged(name, what)
    utime(place, (file.mtime, file.mtime))
    place.chmod(file.mode & 0o555 | stat.S_IRUSR)


def _facts(manifest: Manifest) -> set[tuple[str, int, int]]:
    return {(file.path, file.size, file.mtime) for pack in manifest.packs for file in pack.files}


def _place(root: Path, path: str) -> Path:
    return root if path == ITSELF else root / path


def _quoted(name: str) -> str:
    return quote(name, safe="/")


def _manifest(name: str) -> str:
    return f"{_MANIFESTS}{_quoted(name)}.json"
