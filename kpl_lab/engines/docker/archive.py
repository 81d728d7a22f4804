"""Archives of images, as ``docker save`` writes them, made safe to load.

An archive says itself under which names its image shall be known, and a daemon believes it: one that
calls its image as another is called would take that one's place. So the names inside are replaced by
ours before the daemon sees them.

Formats: https://github.com/moby/docker-image-spec (``manifest.json``) and
https://github.com/opencontainers/image-spec/blob/main/image-layout.md (``index.json``).
"""

from __future__ import annotations

import copy
import io
import json
import posixpath
import tarfile
from pathlib import Path
from typing import IO, Any

from kpl_lab.errors import EngineError

_MANIFEST, _INDEX, _OLD_NAMES = "manifest.json", "index.json", "repositories"
_MOST_BYTES = 4 << 20
# Under which names containerd's store knows an image.
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def rename(source: Path, target: IO[bytes], reference: str) -> None:
    """Copy an archive of one image to ``target``, where the image has no name but ``reference``.

    Raises
    ------
    EngineError
        It is no archive of one image; says what it is.
    """
    found: dict[str, Any] = {}
    try:
        with (
            tarfile.open(source, "r:*") as given,
            tarfile.open(fileobj=target, mode="w") as made,
        ):
            for member in given:
                name = posixpath.normpath(member.name)
                if name in (_MANIFEST, _INDEX):
                    found[name] = _read(given, member)
                elif name != _OLD_NAMES:
                    made.addfile(member, given.extractfile(member) if member.isreg() else None)
            # At the end: a link inside cannot put another file in their place.
            for name, content in _named(found, reference).items():
                data = json.dumps(content).encode()
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o644
                made.addfile(info, io.BytesIO(data))
    except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
        # Of a file of no known kind, tarfile tells what each kind misses: lines of no use here.
        why = str(error).partition(":\n")[0].replace("\n", " ")
        raise _refused(f"it is no archive that can be read ({why})") from error
    target.seek(0)


def _refused(why: str) -> EngineError:
    return EngineError(
        f"No image can be loaded from the file: {why}. Make it with `docker save NAME:TAG -o FILE`.",
        code="bad_image_archive",
    )


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:  # noqa: ANN401 (JSON)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None or member.size > _MOST_BYTES:
        raise _refused(f"its {member.name} is no file of a plausible size")
    return json.loads(file.read())


def _named(found: dict[str, Any], reference: str) -> dict[str, Any]:
    """Return the files that name the image, with our name alone."""
    manifest = found.get(_MANIFEST)
    if not isinstance(manifest, list) or not all(isinstance(one, dict) for one in manifest):
        raise _refused(f"it has no {_MANIFEST}, so it is not what `docker save` writes")
    if len(manifest) != 1:
        raise _refused(f"it holds {len(manifest)} images, and one is needed")
    named: dict[str, Any] = {_MANIFEST: [{**manifest[0], "RepoTags": [reference]}]}
    index = copy.deepcopy(found.get(_INDEX))
    if isinstance(index, dict):
        for one in index.get("manifests", ()):
            notes = one.get("annotations") or {}
            one["annotations"] = {k: v for k, v in notes.items() if k not in _NAMES}
        named[_INDEX] = index
    return named
