"""Which processes there are, and how each is started."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpl_lab import __version__
from kpl_lab.engines.local.accounts import Account
from kpl_lab.settings import Settings
from kpl_lab.supervisor import frontdoor

FRONTDOOR, HUB, PLATFORM, CONTROLLER, RUNNER = (
    "frontdoor",
    "hub",
    "platform",
    "controller",
    "runner",
)
KUBERNETES = "kubernetes"
# By which a pod finds the API server of its own cluster.
OWN_CLUSTER = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
# In the order of their start; they end in the reverse order.
NAMES = (FRONTDOOR, RUNNER, PLATFORM, CONTROLLER, HUB)


_GRACE_SECONDS = 8.0
# It clears away what has just ended.
_RUNNER_GRACE_SECONDS = 35.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one process is started.

    Attributes
    ----------
    account
        Who it runs as; None: as ourselves, privileges included.
    grace_seconds
        How long it may take to end after SIGTERM.
    port
        The port of the loopback that it is handed a listening socket for; None: none.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    account: Account | None = None
    grace_seconds: float = _GRACE_SECONDS
    port: int | None = None
    extra: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """Name of exactly this way to start it; another version of the program differs."""
        content = json.dumps(
            [
                self.command,
                sorted(self.environment.items()),
                str(self.account),
                self.port,
                self.extra,
            ]
        )
        return hashlib.sha256(f"{__version__} {content}".encode()).hexdigest()[:16]


_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
         "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT",
         "PIP_TRUSTED_HOST", "UV_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy",
         "https_proxy", "no_proxy", "CUDA_VISIBLE_DEVICES")  # fmt: skip


def environment_of(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that our processes get: a chosen few, and ours made absolute."""
    kept = {key: environment[key] for key in _KEPT if key in environment}
    own_bin = str(Path(sys.executable).parent)
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    kept["PATH"] = os.pathsep.join([own_bin, *(p for p in path if p != own_bin)])
    kept["PYTHONUNBUFFERED"] = "1"
    kept["PYTHONPATH"] = _with_own_packages(environment.get("PYTHONPATH", ""))
    kept["HOME"] = str(settings.home.platform)
    kept["KPL_HOME"] = str(settings.home.root)
    kept["KPL_PORT"] = str(settings.ports.public)
    kept["KPL_ENGINE"] = settings.engine
    if settings.engine == KUBERNETES:
        kept |= settings.cluster.variables()
        kept |= {key: environment[key] for key in OWN_CLUSTER if key in environment}
    if settings.users:
        kept["KPL_USERS"] = ",".join(settings.users)
    if settings.database_url:
        kept["KPL_DATABASE_URL"] = settings.database_url
    return kept


def storage_variables(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what those processes get beside that keep files: the bucket, and the way into it."""
    if not settings.storage_url:
        return {}
    found = {key: value for key, value in environment.items() if key.startswith("AWS_")}
    return found | {"KPL_STORAGE_URL": settings.storage_url}


def _with_own_packages(path: str) -> str:
    # A checkout that was never installed must find itself from any working directory.
    own = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([own, *(p for p in path.split(os.pathsep) if p and p != own)])


def plans(settings: Settings, account: Account, environment: Mapping[str, str]) -> list[Plan]:
    """Return the processes of an installation in the order of their start."""
    variables = environment_of(settings, environment)
    # Safe path: no file of the folder that a process works in, such as the administrator's
    # platform.py, takes the place of a module.
    python = (sys.executable, "-P")
    unprivileged = account if os.geteuid() == 0 else None

    of_storage = storage_variables(settings, environment)

    def plan(name: str, *command: str, account: Account | None = unprivileged) -> Plan:
        home = settings.home
        has_files = name in (PLATFORM, CONTROLLER)
        directory = {HUB: home.hub, FRONTDOOR: home.frontdoor, RUNNER: home.engine(settings.engine)}
        return Plan(
            name=name,
            command=command,
            environment=variables | of_storage if has_files else variables,
            directory=directory.get(name, home.platform),
            log=home.logs / f"{name}.log",
            account=account,
            grace_seconds=_RUNNER_GRACE_SECONDS if name == RUNNER else _GRACE_SECONDS,
            port=settings.ports.platform if name == PLATFORM else None,
            extra=json.dumps(frontdoor.static_config(settings)) if name == FRONTDOOR else "",
        )

    traefik = str(settings.home.frontdoor / "traefik.yml")
    found = [
        plan(FRONTDOOR, frontdoor.binary(), "--configFile", traefik),
        plan(PLATFORM, *python, "-m", "kpl_lab.platform"),
        plan(CONTROLLER, *python, "-m", "kpl_lab.platform.runtime"),
        plan(HUB, *python, "-m", "kpl_lab.jupyter", "-f", str(hub_config())),
    ]
    # The only one with privileges: it makes namespaces, limits and mounts, or holds Docker's socket.
    runner = f"kpl_lab.engines.{settings.engine}.runner"
    found.insert(1, plan(RUNNER, *python, "-m", runner, account=None))
    return found


def hub_config() -> Path:
    """Return the file that configures the hub when we start it."""
    return Path(__file__).resolve().parents[1] / "hub" / "jupyterhub_config.py"


def supervisor_digest(kept: list[Plan]) -> str:
    """Name of what a supervisor keeps: one that keeps something else is replaced."""
    return hashlib.sha256(" ".join(p.digest for p in kept).encode()).hexdigest()[:16]
