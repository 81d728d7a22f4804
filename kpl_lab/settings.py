"""Where an installation lies and which ports it has: the one place that reads ``KPL_*`` variables."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from kpl_lab.cluster_settings import ClusterSettings
from kpl_lab.errors import Invalid

ENGINES = ("local", "docker", "kubernetes")
DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"
FRONTDOOR_API_USER = "kpl"  # whom Traefik's own API lets in, with Secret.FRONTDOOR_API
FIRST_PORT, PORT_COUNT = 10_000, 20_000
LOOPBACK = "127.0.0.1"
# Groups: the bucket, and the prefix with a slash before it.
BUCKET_URL = r"s3://([a-zA-Z0-9][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9])((?:/[\w.=+-]+)*)/?"
MAX_PORT = 65535


def own_image(version: str) -> str:
    """Return what `make images` calls the platform's own image of a version of the program."""
    return f"kpl-lab/base:{version}"


class Secret(StrEnum):
    """Names of the secrets that ``kpl-lab up`` makes below ``secrets/``, one file each.

    ``JWT`` signs the tokens of workloads; ``HUB_TO_PLATFORM`` opens ``/internal``; ``OPERATOR`` is
    the token of the hub service with which ``kpl-lab`` asks the hub; ``AT_REST`` encrypts what is
    stored of users' secrets; ``METRICS`` lets a scraper read what the platform measures, and
    nothing else.
    """

    JWT = "jwt"
    HUB_TO_PLATFORM = "hub-to-platform"
    HUB_COOKIE = "hub-cookie"
    FRONTDOOR_API = "frontdoor-api"
    OPERATOR = "operator"
    AT_REST = "at-rest"
    METRICS = "metrics"
    ADMIN_PASSWORD = "admin-password"  # noqa: S105 (the name of a file)
    USERS_PASSWORD = "users-password"  # noqa: S105 (the name of a file)


@dataclass(frozen=True)
class Ports:
    """TCP ports of an installation; all but ``public`` are on the loopback."""

    public: int
    hub: int
    platform: int
    frontdoor_api: int


@dataclass(frozen=True)
class Home:
    """The folders and files below ``KPL_HOME``."""

    root: Path

    @property
    def credentials(self) -> Path:
        """File for ``kpl``: url, username, password, token; mode 0600."""
        return self.root / "credentials.json"

    @property
    def settings(self) -> Path:
        """Ports and instance id, kept from the first start."""
        return self.root / "settings.json"

    @property
    def secrets(self) -> Path:
        """Folder of keys and tokens, one file each; mode 0700."""
        return self.root / "secrets"

    @property
    def run(self) -> Path:
        """Process records, sockets, locks."""
        return self.root / "run"

    def door(self, process: str) -> Path:
        """The socket at which a process lends what it listens on."""
        return self.run / f"{process}.door"

    @property
    def runner_socket(self) -> Path:
        """Unix socket of the engine's runner."""
        return self.run / "runner.sock"

    @property
    def logs(self) -> Path:
        """One log file per process of the platform."""
        return self.root / "logs"

    @property
    def hub(self) -> Path:
        """JupyterHub's working folder."""
        return self.root / "hub"

    @property
    def platform(self) -> Path:
        """The platform's own data: its SQLite database."""
        return self.root / "platform"

    @property
    def storage(self) -> Path:
        """Datasets, models, code, uploads, archived logs."""
        return self.root / "storage"

    @property
    def frontdoor(self) -> Path:
        """Traefik's configuration; ``dynamic/`` is watched."""
        return self.root / "frontdoor"

    @property
    def local(self) -> Path:
        """The local engine: workloads, homes, environments."""
        return self.root / "local"

    @property
    def docker(self) -> Path:
        """The Docker engine: workloads and homes."""
        return self.root / "docker"

    @property
    def kubernetes(self) -> Path:
        """The Kubernetes engine: logs of workloads, the key of the gate."""
        return self.root / "kubernetes"

    def engine(self, name: str) -> Path:
        """Folder of an engine with a runner."""
        return self.root / name

    def read_secret(self, name: str) -> str:
        """Return the secret ``name``; ``kpl-lab up`` has made it.

        Raises
        ------
        Invalid
            It is missing: the installation was not started by ``kpl-lab up``.
        """
        try:
            return (self.secrets / name).read_text().strip()
        except OSError as error:
            raise Invalid(
                f"The secret {name!r} cannot be read in {self.secrets}; run `kpl-lab up` once.",
                code="no_secret",
            ) from error


@dataclass(frozen=True)
class Settings:
    """One installation.

    Attributes
    ----------
    instance
        Word that labels what it starts: ``KPL_INSTANCE`` at the first start, else a random one.
    engine
        Name of the engine: one of ``ENGINES``.
    database_url
        SQLAlchemy URL; None: SQLite below the home.
    users
        Further users beside ``admin``.
    base_image
        What the platform's own image is built on, where one was named.
    cluster
        For the Kubernetes engine.
    listen
        ``KPL_LISTEN``: the IPv4 address that the front door listens on.
    admin_password_file
        ``KPL_ADMIN_PASSWORD_FILE``: holds the administrator's password; None: one is made up.
    hub_url
        ``KPL_HUB_URL``: where the hub answers, for processes on other machines than its own.
    config
        ``KPL_CONFIG``: folder of the administrator's files, which the home then shows; None: the home.
    metrics_listen
        ``KPL_METRICS_LISTEN``: IPv4 address and port at which the front door answers scrapers alone;
        empty: nowhere, the API's port on the loopback does.
    metrics_token_file
        ``KPL_METRICS_TOKEN_FILE``: holds the scrapers' token; None: one is made up.
    storage_url
        ``KPL_STORAGE_URL``: the bucket that keeps everything finished, as ``s3://bucket/prefix``;
        empty: the folder ``storage`` of the home does.
    """

    home: Home
    ports: Ports
    instance: str
    engine: str = "local"
    database_url: str | None = None
    users: tuple[str, ...] = ()
    base_image: str | None = None
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    listen: str = LOOPBACK
    admin_password_file: Path | None = None
    hub_url: str = ""
    config: Path | None = None
    metrics_listen: str = ""
    metrics_token_file: Path | None = None
    storage_url: str = ""

    @property
    def sqlalchemy_url(self) -> str:
        """The database to use."""
        return self.database_url or f"sqlite:///{self.home.platform / 'kpl.sqlite'}"

    @property
    def platform_base(self) -> str:
        """The platform's own port."""
        return f"http://127.0.0.1:{self.ports.platform}"

    @property
    def platform_url(self) -> str:
        """The API as processes on this machine reach it."""
        return f"{self.platform_base}/kpl/api/v1"

    @property
    def runtime_url(self) -> str:
        """The runtime contract's surface as relays reach it."""
        return f"{self.platform_base}/kpl/runtime"

    @property
    def hub_api_url(self) -> str:
        """The hub's REST API: on the loopback, unless ``hub_url`` says otherwise."""
        return f"{self.hub_url or f'http://127.0.0.1:{self.ports.hub}'}/hub/api"

    @property
    def public_url(self) -> str:
        """The front door as a browser on this machine reaches it."""
        return f"http://127.0.0.1:{self.ports.public}"


def free_ports(count: int) -> list[int]:
    """Pick ports that nobody listens on, all different.

    None of those that the kernel gives to outgoing connections (32768 and up): one could take it.
    """
    found: list[int] = []
    while len(found) < count:
        port = FIRST_PORT + secrets.randbelow(PORT_COUNT)
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


def home_from(environment: Mapping[str, str]) -> Home:
    """Return the home that the environment names; default ``./.kpl``."""
    return Home(Path(environment.get("KPL_HOME") or ".kpl").expanduser().absolute())


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this installation, choosing and keeping ports at the first call.

    Raises
    ------
    Invalid
        A variable or the settings file holds something unusable.
    """
    env = os.environ if environment is None else environment
    engine = env.get("KPL_ENGINE") or "local"
    if engine not in ENGINES:
        raise Invalid(
            f"KPL_ENGINE={engine!r} is not an engine of this version; it has: {', '.join(ENGINES)}.",
            code="unknown_engine",
        )
    home = home_from(env)
    kept = _read(home.settings)
    chosen = _instance(env.get("KPL_INSTANCE") or "", kept)
    try:
        public = int(env.get("KPL_PORT") or kept.get("public", 8000))
        ports = Ports(public, *(int(kept[key]) for key in ("hub", "platform", "frontdoor_api")))
        instance = str(kept["instance"])
    except KeyError:
        ports = Ports(public, *free_ports(3))
        instance = chosen or secrets.token_hex(4)
    except ValueError as error:
        raise Invalid(
            f"KPL_PORT or {home.settings} holds something that is not a port: {error}.",
            code="invalid_port",
        ) from error
    _keep(home.settings, {**asdict(ports), "instance": instance}, kept)
    users = tuple(u.strip() for u in (env.get("KPL_USERS") or "").split(",") if u.strip())
    return Settings(
        home,
        ports,
        instance,
        engine,
        database_url=env.get("KPL_DATABASE_URL") or None,
        users=users,
        base_image=env.get("KPL_BASE_IMAGE") or None,
        cluster=ClusterSettings.of(env),
        listen=_address(env.get("KPL_LISTEN") or LOOPBACK),
        admin_password_file=_path(env.get("KPL_ADMIN_PASSWORD_FILE")),
        hub_url=(env.get("KPL_HUB_URL") or "").rstrip("/"),
        config=_path(env.get("KPL_CONFIG")),
        metrics_listen=_address_and_port(env.get("KPL_METRICS_LISTEN") or ""),
        metrics_token_file=_path(env.get("KPL_METRICS_TOKEN_FILE")),
        storage_url=_bucket(env.get("KPL_STORAGE_URL") or ""),
    )


def _bucket(url: str) -> str:
    """Return the URL of a bucket, where one was named."""
    if url and not re.fullmatch(BUCKET_URL, url, re.ASCII):
        raise Invalid(
            f"KPL_STORAGE_URL={url!r} is not a bucket, as in s3://bucket or s3://bucket/prefix.",
            code="invalid_storage_url",
        )
    return url.rstrip("/")


def _instance(chosen: str, kept: Mapping[str, str | int]) -> str:
    """Return the word that labels what the installation starts, where one was chosen."""
    if chosen and not re.fullmatch(r"[0-9a-f]{8}", chosen):
        raise Invalid(
            f"KPL_INSTANCE={chosen!r} is not a word of eight hexadecimal digits.",
            code="invalid_instance",
        )
    if chosen and kept.get("instance", chosen) != chosen:
        raise Invalid(
            f"KPL_INSTANCE={chosen}, but this home is that of the installation {kept['instance']}, by "
            "which its workloads and homes are known; name that one, or choose another home.",
            code="other_instance",
        )
    return chosen


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _address(text: str, variable: str = "KPL_LISTEN") -> str:
    """Return an address to listen on: names are refused, because processes look them up each for itself."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise Invalid(
            f"{variable}={text!r} is not an IPv4 address; 127.0.0.1 is for this machine alone, 0.0.0.0 "
            "for every network that it is in.",
            code="invalid_address",
        ) from error


def _address_and_port(text: str) -> str:
    """Return where scrapers are answered."""
    address, _, port = text.rpartition(":")
    if text and not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= MAX_PORT):
        raise Invalid(
            f"KPL_METRICS_LISTEN={text!r} is not an address and a port, as in 127.0.0.1:9464.",
            code="invalid_address",
        )
    return f"{_address(address, 'KPL_METRICS_LISTEN')}:{port}" if text else ""


def _read(path: Path) -> dict[str, str | int]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (NotADirectoryError, PermissionError) as error:
        raise unusable_home(path.parent, error.strerror or str(error)) from error
    except (OSError, ValueError) as error:
        raise Invalid(
            f"{path} cannot be read ({error}); mend or remove it.", code="bad_settings"
        ) from error


def unusable_home(root: Path, reason: str) -> Invalid:
    """Return the error of a home that nobody can start an installation in."""
    return Invalid(
        f"{root} cannot be the home of an installation: {reason}. Set KPL_HOME to a folder that "
        "you may write to.",
        code="unusable_home",
    )


def _keep(path: Path, values: dict[str, str | int], kept: dict[str, str | int]) -> None:
    nearest = next(folder for folder in path.parents if folder.exists())
    if values == kept or not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(values, indent=1) + "\n")
    fresh.replace(path)
