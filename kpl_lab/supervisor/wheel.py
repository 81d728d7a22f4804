"""The wheel of the program that runs: from its checkout, or from what is installed of it."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import kpl_lab
from kpl_lab.errors import EngineError

NAME = "kpl-lab"
PANELS = "share/jupyter/labextensions/kpl-lab/package.json"
_BUILD_SECONDS = 300
_LAST = 1500
# Written by whoever installs a wheel, about that installation.
_OF_INSTALLERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
# As hatchling does it: the same content is the same file.
_MOMENT = (2020, 2, 2, 0, 0, 0)


def make_wheel(folder: Path) -> Path:
    """Make the wheel of this very program in ``folder``, without any download.

    Raises
    ------
    EngineError
        It cannot be made; the message says why.
    """
    checkout = Path(kpl_lab.__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file():
        return _build(checkout, folder)
    return pack_installed(importlib.metadata.distribution(NAME), Path(sys.prefix), folder)


def _build(checkout: Path, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        raise EngineError(
            f"No wheel can be built from {checkout}: {done.stdout.strip()[-_LAST:]}\n"
            "`make up` installs what that needs.",
            code="no_wheel",
        )
    return found[0]


def pack_installed(
    distribution: importlib.metadata.Distribution, prefix: Path, folder: Path
) -> Path:
    """Put an installed distribution together again as a wheel.

    Parameters
    ----------
    prefix
        Folder of the environment that it is installed in.

    Raises
    ------
    EngineError
        Its files are not known, or some are gone.
    """
    if distribution.files is None:
        raise EngineError(
            f"What {NAME} consists of was not written down by whoever installed it; install it "
            "with pip.",
            code="no_wheel",
        )
    prefix = prefix.resolve()
    site = Path(str(distribution.locate_file(""))).resolve()
    entries = {}
    for file in distribution.files:
        place = Path(str(distribution.locate_file(file))).resolve()
        name = _name_in_wheel(place, site, prefix, distribution)
        if name is not None:
            entries[name] = place
    metadata = f"{_stem(distribution)}.dist-info"
    tags = re.findall(r"^Tag: (\S+)$", distribution.read_text("WHEEL") or "", re.MULTILINE)
    target = folder / f"{_stem(distribution)}-{tags[0] if tags else 'py3-none-any'}.whl"
    try:
        _write(target, entries, f"{metadata}/RECORD")
    except OSError as error:
        raise EngineError(
            f"The installation of {NAME} is incomplete ({error}); install it again.",
            code="no_wheel",
        ) from error
    return target


def _stem(distribution: importlib.metadata.Distribution) -> str:
    return f"{NAME.replace('-', '_')}-{distribution.version}"


def _name_in_wheel(
    place: Path, site: Path, prefix: Path, distribution: importlib.metadata.Distribution
) -> str | None:
    """Return where a wheel has an installed file; None where an installer made it."""
    if "__pycache__" in place.parts or place.name in _OF_INSTALLERS:
        return None
    if place.is_relative_to(site):
        return place.relative_to(site).as_posix()
    if place.is_relative_to(prefix) and place.parent.name not in ("bin", "Scripts"):
        return f"{_stem(distribution)}.data/data/{place.relative_to(prefix).as_posix()}"
    return None


def _write(target: Path, entries: dict[str, Path], record: str) -> None:
    lines = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(entries):
            data = entries[name].read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
            _add(file, name, data)
        _add(file, record, "".join([*lines, f"{record},,\n"]).encode())


def _add(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _MOMENT)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(info, data)


def has_panels(wheel: Path) -> bool:
    """Say whether JupyterLab's extension is in it."""
    with zipfile.ZipFile(wheel) as file:
        return any(name.endswith(PANELS) for name in file.namelist())


def content_digest(wheel: Path) -> str:
    """Return a name of what is in it, wherever and with whatever compiler it was made."""
    found = hashlib.sha256()
    with zipfile.ZipFile(wheel) as file:
        for name in sorted(file.namelist()):
            if name.endswith((".so", ".dist-info/RECORD", ".dist-info/WHEEL")):
                continue
            data = file.read(name)
            if name.endswith(".dist-info/METADATA"):
                data = data.partition(b"\n\n")[0]  # what follows is the README
            found.update(f"{name}\0".encode() + hashlib.sha256(data).digest())
    return found.hexdigest()[:16]
