"""What was installed in a notebook server since it was started from its image."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from kpl_lab.client.client import Client
from kpl_lab.errors import Conflict, EngineError
from kpl_lab.naming import distribution_name

# In the server's own interpreter, which need not be the one that `kpl` runs in.
_ASK = (
    "import importlib.metadata as m, json\n"
    "found = {}\n"
    "for one in m.distributions():\n"
    "    name = one.metadata['Name']\n"
    "    if name and name not in found:\n"
    "        origin = one.read_text('direct_url.json')\n"
    "        found[name] = [one.version, json.loads(origin)['url'] if origin else None]\n"
    "print(json.dumps(found))\n"
)
_STUCK = "D"
_LOOKS, _LOOK_SECONDS = 6, 0.5


class Unsaved(BaseModel):
    """What a notebook server has that the image it was started from does not."""

    server: int = Field(description="id of the server")
    image: str = Field(description="name of its image")
    requirements: list[str] = Field(description="requirements, one a package")


def unsaved_here(client: Client) -> Unsaved:
    """Return what was installed in the notebook server that this runs in.

    Raises
    ------
    Conflict
        This runs in none, nothing was installed, or it cannot be saved.
    """
    name = client.credentials.server
    if name is None:
        raise Conflict(
            "What was installed is known in the server alone; run `kpl image save` in a terminal of "
            "its JupyterLab.",
            code="not_in_server",
        )
    server = client.servers.find(client.credentials.username or client.me().name, name)
    image = client.images.get(server.image)
    added = installed_since(image.packages)
    if not added:
        raise Conflict(
            f"Nothing was installed since the start from {image.name!r}, so there is nothing to "
            "save.",
            code="nothing_to_save",
        )
    return Unsaved(server=server.id, image=image.name, requirements=added)


def installed_since(known: Mapping[str, str], python: str = "python3") -> list[str]:
    """Return requirements of what is installed and was not, or not so, in the image.

    Parameters
    ----------
    known
        The image's distributions and their versions.

    Raises
    ------
    Conflict
        Something cannot be installed again from an index, or processes hang (state ``D``), as
        ModelArts refuses it too.
    EngineError
        The interpreter does not say what it has.
    """
    refuse_stuck()
    done = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(
            f"{python} does not say what is installed: {done.stderr.strip()[-500:]}",
            code="no_packages",
        )
    found: dict[str, tuple[str, str | None]] = json.loads(done.stdout)
    added = {
        name: origin
        for name, origin in sorted(found.items())
        if known.get(distribution_name(name)) != origin[0]
    }
    local = {name: url for name, (_, url) in added.items() if url and url.startswith("file:")}
    if local:
        words = ", ".join(f"{name} ({url})" for name, url in local.items())
        raise Conflict(
            f"Installed from folders, which nobody else has: {words}. Install them from an index or "
            "a repository, or build the image from a Dockerfile that copies them.",
            code="local_packages",
        )
    return [f"{n} @ {url}" if url else f"{n}=={version}" for n, (version, url) in added.items()]


def refuse_stuck(
    processes: Path = Path("/proc"), *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Refuse where a process of ours hangs in the kernel: what it writes may be half there.

    Every process that waits for a disk is in state ``D`` for a moment; one that hangs stays in it.

    Raises
    ------
    Conflict
        Names them.
    """
    stuck = _waiting(processes)
    for _ in range(_LOOKS):
        if not stuck:
            return
        sleep(_LOOK_SECONDS)
        stuck &= _waiting(processes)
    if stuck:
        raise Conflict(
            f"Processes hang in the kernel (state D: {', '.join(sorted(stuck))}), so files may be "
            "half written; wait until they go on, or restart the server.",
            code="processes_hang",
        )


def _waiting(processes: Path) -> set[str]:
    found = set()
    for place in processes.glob("[0-9]*/stat"):
        try:
            is_ours = place.stat().st_uid == os.geteuid()
            _, _, rest = place.read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        if is_ours and rest.split()[:1] == [_STUCK]:
            found.add(place.parent.name)
    return found
