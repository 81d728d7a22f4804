"""What a folder of ``images/`` becomes for Docker's builder: a tar, and a name of its content."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.supervisor.wheel import content_digest

# For whoever reads the folder, or used before or after the build.
_NOT_SENT = ("README.md", "smoke.py")
_BUNDLE = "certificates/bundle.crt"
_FOLDERS = ("certificates", "wheelhouse", "wheels")


def images_folder() -> Path:
    """Return the folder of Dockerfiles: of the checkout, else of the installation."""
    checkout = Path(__file__).resolve().parents[2] / "images"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "kpl-lab" / "images"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one image is made from.

    Attributes
    ----------
    folder
        Has the Dockerfile.
    wheel
        Of the platform, where the image takes it.
    wheelhouse
        Further wheels that pip may take instead of an index's.
    ca_bundle
        Certificates that the build trusts.
    """

    folder: Path
    wheel: Path | None = None
    wheelhouse: Sequence[Path] = ()
    ca_bundle: Path | None = None

    @property
    def digest(self) -> str:
        """Name of what is built, not of where it is built."""
        found = hashlib.sha256()
        for path in self._files():
            found.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        if self.wheel is not None:
            found.update(content_digest(self.wheel).encode())
        return found.hexdigest()[:16]

    def tar(self) -> bytes:
        """Return what the builder is given.

        Raises
        ------
        OSError
            A file cannot be read.
        """
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name in _FOLDERS:
                info = tarfile.TarInfo(name)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            for path in self._files():
                _add(tar, path.name, path)
            if self.wheel is not None:
                _add(tar, f"wheels/{self.wheel.name}", self.wheel)
            for path in self.wheelhouse:
                _add(tar, f"wheelhouse/{path.name}", path)
            if self.ca_bundle is not None:
                _add(tar, _BUNDLE, self.ca_bundle)
        return buffer.getvalue()

    def _files(self) -> Iterable[Path]:
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and path.name not in _NOT_SENT and path.suffix != ".in":
                yield path


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    info = tarfile.TarInfo(name)
    with path.open("rb") as file:
        stat = path.stat()
        info.size = stat.st_size
        # Whatever mask the checkout was made under.
        info.mode = 0o755 if stat.st_mode & 0o100 else 0o644
        tar.addfile(info, file)
