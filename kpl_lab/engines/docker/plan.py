"""One replica to be, and the container that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.running import fullhome
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.rules import MEETING_PORT
from kpl_lab.engines.running.service_watch import Timing
from kpl_lab.engines.spec import Limits, RelayTarget

INSIDE = "/kpl"
BESIDE = "/beside"
PACKAGES = "/kpl-packages"
READY_FOLDER, PORT_FILE = "ready", "port"
_MIB = 1 << 20
_SIDECAR_MIB = 256
_SIDECAR_PROCESSES = 64
# What is beside a command must listen before the command calls it: the original clients fail at the
# first call that nobody answers. But it needs the network of a container that runs: so the command
# waits for the files that say so.
_WAIT = 'for f in {files}; do until [ -s $f ]; do sleep 0.02 || sleep 1; done; done; exec "$@"'
_LOG_FILES = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a replica's container and folders follow from.

    Attributes
    ----------
    argv, environment
        With placeholders still in them, as ``templates`` says (see ``kpl_lab.engines.spec``).
    inputs
        Key and folder.
    home, inner_home
        Persistent home on the machine (None: a private one), and where it is inside.
    mounts
        Root of the live mounts, shown as ``datasets`` in the home.
    doors
        Ports of the machine's loopback that are the same ports of its own.
    gpus
        Indices given to it.
    hosts
        Names of all replicas' containers on their network.
    """

    address: Address
    labels: Mapping[str, str]
    kind: str
    image: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    inputs: Sequence[tuple[str, str]]
    outputs: Sequence[str]
    code: str | None
    home: str | None
    inner_home: str
    skeleton: str | None
    user: str
    uid: int
    gid: int
    platform_uid: int
    platform_gid: int
    mounts: str | None
    limits: Limits
    gpus: Sequence[int]
    processes: int
    log_bytes: int
    network: str
    port: int | None
    timing: Timing
    health: str | None
    relay: RelayTarget | None
    relay_port: int
    doors: Sequence[int]
    templates: Sequence[str] | None = None
    hosts: Sequence[str] = ()
    is_namespaced: bool = True

    @property
    def beside(self) -> Sequence[Role]:
        """What runs beside the command."""
        found = [Role.RELAY] if self.relay is not None else []
        return [*found, Role.DOORS] if self.doors else found

    @property
    def serves(self) -> bool:
        """Whether it listens on a port and is watched for that."""
        return self.kind in ("service", "server")


def folder_of(place: Place, role: Role) -> Path:
    """Return the folder of what runs beside a command."""
    return place.relay if role is Role.RELAY else place.root / role.value


def placeholders(plan: Plan) -> dict[str, str]:
    """Return what stands for each placeholder of ``kpl_lab.engines.spec``."""
    return {
        "{{inputs}}": f"{INSIDE}/inputs",
        "{{outputs}}": f"{INSIDE}/outputs",
        "{{work}}": f"{INSIDE}/work",
        "{{home}}": plan.inner_home,
        "{{secrets}}": f"{INSIDE}/secrets",
        "{{relay}}": "" if plan.relay is None else f"http://127.0.0.1:{plan.relay_port}",
        "{{host}}": "0.0.0.0",  # noqa: S104 (of its own network, where only we reach it)
        "{{port}}": "" if plan.port is None else str(plan.port),
        "{{replica}}": str(plan.address.index),
        "{{hosts}}": ",".join(plan.hosts),
        "{{meeting}}": str(MEETING_PORT),
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with its placeholders filled."""
    if "{{" in text:
        for name, value in values.items():
            text = text.replace(name, value)
    return text


def command_config(plan: Plan, place: Place, installation: str) -> dict[str, Any]:
    """Return what the daemon is asked to make for the command.

    Mounts of inputs are read-only; what it may write is its own folder and its home. It runs under
    a plain number, without capabilities, and gains none.
    """
    values = placeholders(plan)
    argv = [fill(word, values) if plan.templates is None else word for word in plan.argv]
    if plan.beside:
        files = " ".join(f"{_ready_folder(role)}/{PORT_FILE}" for role in plan.beside)
        argv = ["/bin/sh", "-c", _WAIT.format(files=files), "kpl", *argv]
    has_code = plan.code is not None or plan.home is None
    environment = _environment(plan, values)
    return {
        "Image": plan.image,
        "Hostname": plan.address.workload[:63].strip("-"),
        "User": f"{plan.uid}:{plan.gid}",
        "Entrypoint": argv[:1],
        "Cmd": argv[1:],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "WorkingDir": f"{INSIDE}/work" if has_code else plan.inner_home,
        "Labels": plan.address.labels(installation, plan.labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_confined(plan.processes),
            **_limits(plan.limits),
            "NetworkMode": plan.network,
            "Mounts": _mounts(plan, place),
            "DeviceRequests": _devices(plan.gpus),
            "LogConfig": _log_config(plan.log_bytes),
        },
    }


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What runs beside a command, in its network.

    Attributes
    ----------
    module
        Of ours, run with ``--config``; it needs the standard library alone.
    folder
        Its own, with its configuration.
    shown
        Further folders that it may read, by their place inside.
    """

    role: Role
    module: str
    folder: Path
    shown: Mapping[str, Path]


def sidecar_config(
    plan: Plan, sidecar: Sidecar, installation: str, command: str, image: str
) -> dict[str, Any]:
    """Return what the daemon is asked to make for what runs beside a command.

    It shares the command's network, so that its ports on the loopback are the command's own, and
    reaches the platform through sockets in its folder. It runs under the platform's account.
    """
    address = Address(plan.address.workload, plan.address.index, sidecar.role)
    package = Path(__file__).resolve().parents[2]
    return {
        "Image": image,
        "User": f"{plan.platform_uid}:{plan.platform_gid}",
        "Entrypoint": ["python3", "-m", sidecar.module],
        "Cmd": ["--config", f"{BESIDE}/config.json"],
        "Env": [f"PYTHONPATH={PACKAGES}", "PYTHONDONTWRITEBYTECODE=1"],
        "WorkingDir": "/",
        "Labels": address.labels(installation, plan.labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_confined(_SIDECAR_PROCESSES),
            "Memory": _SIDECAR_MIB * _MIB,
            "NetworkMode": f"container:{command}",
            "RestartPolicy": {"Name": "always"},
            "Mounts": [
                _bind(sidecar.folder, BESIDE, read_only=False),
                *(_bind(source, target) for target, source in sidecar.shown.items()),
                _bind(package, f"{PACKAGES}/kpl_lab"),
            ],
            "LogConfig": _log_config(_MIB),
        },
    }


def _ready_folder(role: Role) -> str:
    return f"{INSIDE}/{READY_FOLDER}-{role.value}"


def _environment(plan: Plan, values: Mapping[str, str]) -> dict[str, str]:
    found = {
        "HOME": plan.inner_home,
        "USER": plan.user,
        "LOGNAME": plan.user,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # The init passes a polite stop on to the whole group of processes, not to a shell alone.
        "TINI_KILL_PROCESS_GROUP": "1",
    }
    if plan.serves:
        found |= {"HOST": values["{{host}}"]}
    found |= {
        name: fill(value, values) if plan.templates is None or name in plan.templates else value
        for name, value in plan.environment.items()
    }
    if plan.kind == "server" and plan.home is not None:
        found |= fullhome.variables(plan.home, "/tmp")  # noqa: S108 (made private)
    return found


def _confined(processes: int) -> dict[str, Any]:
    return {
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "PidsLimit": processes,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    }


def _limits(limits: Limits) -> dict[str, Any]:
    memory = limits.memory_mb * _MIB
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(limits.cpu * 10**9),
        "ShmSize": limits.shm_mb * _MIB,
    }


def _devices(gpus: Sequence[int]) -> list[dict[str, Any]]:
    if not gpus:
        return []
    return [{"DeviceIDs": [str(gpu) for gpu in gpus], "Capabilities": [["gpu"]]}]


def _log_config(log_bytes: int) -> dict[str, Any]:
    # Our own file holds the log; the daemon's is room for what comes while the runner is away. Of
    # its kinds, `local` keeps bytes that are no text but loses the end of a line beyond 16 KiB.
    size = max(log_bytes // _LOG_FILES, 16 * _MIB)
    return {"Type": "json-file", "Config": {"max-size": str(size), "max-file": str(_LOG_FILES)}}


def _mounts(plan: Plan, place: Place) -> list[dict[str, Any]]:
    found = [_bind(place.inside, INSIDE, read_only=False)]
    found += [_bind(Path(source), f"{INSIDE}/inputs/{key}") for key, source in plan.inputs]
    found.append(_bind(place.tmp, "/tmp", read_only=False))  # noqa: S108 (made private)
    for role in plan.beside:
        found.append(_bind(folder_of(place, role) / READY_FOLDER, _ready_folder(role)))
    if plan.home is not None:
        found.append(_bind(Path(plan.home), plan.inner_home, read_only=False))
        if plan.mounts is not None and not _lacks_mount_root(Path(plan.home)):
            mounted = _bind(Path(plan.mounts), f"{plan.inner_home}/datasets")
            # What is mounted below the root later on arrives inside, and nothing goes back.
            mounted["BindOptions"] = {"Propagation": "rslave"}
            found.append(mounted)
    return found


def _lacks_mount_root(home: Path) -> bool:
    """Say whether there was no room for it; the daemon would find none either."""
    return home.is_dir() and not (home / "datasets").exists()


def _bind(source: Path, target: str, *, read_only: bool = True) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}
