"""JupyterHub's configuration as functions of the settings, so that it can be tested without a hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from kpl_lab import scopes
from kpl_lab.hub.history import history_of
from kpl_lab.hub.names import ADMIN, API_ENTRY_POINT, ENTRY_POINT
from kpl_lab.hub.proxy import FrontDoor
from kpl_lab.hub.texts import template_vars
from kpl_lab.settings import FRONTDOOR_API_USER, Secret, Settings

HERE = Path(__file__).parent
# Jupyter's own choice behind a hub is a login shell, which forgets the environment's PATH.
_TERMINAL = """sh -c 'exec "${SHELL:-$(command -v bash || command -v sh)}"'"""
PLATFORM_SERVICE, OPERATOR_SERVICE = "kpl-platform", "kpl-operator"
# What a user's own tokens may do at the hub, beside everything of the platform.
_SERVER_TOKEN_SCOPES = (
    "access:servers!user",
    "delete:servers!user",
    "read:servers!user",
    "read:users:name!user",
    "read:users:activity!user",
    "users:activity!user",
    "servers!user",
)


def configure(c: Any, settings: Settings, *, supervised: bool) -> None:  # noqa: ANN401 (traitlets)
    """Set everything that KPL Lab needs of its hub.

    Parameters
    ----------
    c
        The configuration object of a ``jupyterhub_config.py``.
    supervised
        Whether ``kpl-lab up`` runs front door and platform; otherwise the hub starts both.
    """
    _hub(c, settings, supervised=supervised)
    _front_door(c, settings, supervised=supervised)
    _signing_in(c, settings)
    _roles(c, settings, supervised=supervised)
    _servers(c, settings)


def _hub(c: Any, settings: Settings, *, supervised: bool) -> None:  # noqa: ANN401
    home = settings.home
    c.JupyterHub.bind_url = settings.public_url
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.ports.hub}"
    c.JupyterHub.db_url = f"sqlite:///{home.hub / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret = bytes.fromhex(home.read_secret(Secret.HUB_COOKIE))
    # Servers belong to the platform: they outlive the hub, and a restarted hub finds them again.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = not supervised
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.template_vars = {**template_vars(), "kpl_history": history_of(settings)}
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.concurrent_spawn_limit = 100
    # Seconds that a page waits for a server before it shows the progress instead: warm starts are
    # over sooner than that.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 1}


def _front_door(c: Any, settings: Settings, *, supervised: bool) -> None:  # noqa: ANN401
    dynamic = settings.home.frontdoor / "dynamic"
    proxy = c.TraefikFileProviderProxy
    c.JupyterHub.proxy_class = FrontDoor
    proxy.should_start = not supervised
    proxy.traefik_api_url = f"http://127.0.0.1:{settings.ports.frontdoor_api}"
    proxy.traefik_api_username = FRONTDOOR_API_USER
    proxy.traefik_api_password = settings.home.read_secret(Secret.FRONTDOOR_API)
    proxy.traefik_entrypoint = ENTRY_POINT
    proxy.traefik_api_entrypoint = API_ENTRY_POINT
    proxy.dynamic_config_file = str(dynamic / "hub.toml")
    proxy.check_route_timeout = 30
    # The route of Traefik's API is in a file of the supervisor's, with a cheaper hash of its
    # random password: at bcrypt's usual cost every new route takes half a second longer.
    proxy.enable_setup_dynamic_config = False
    if not supervised:
        # Traefik lies beside our Python, which need not be the first on the caller's PATH.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        proxy.traefik_env = {"PATH": path}
        proxy.static_config_file = str(settings.home.frontdoor / "traefik.toml")
        proxy.traefik_api_hashed_password = _cheap_hash(settings)
        proxy.extra_static_config = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "providers": {"file": {"filename": "", "directory": str(dynamic), "watch": True}},
        }


def _cheap_hash(settings: Settings) -> str:
    import bcrypt

    password = settings.home.read_secret(Secret.FRONTDOOR_API).encode()
    return str(bcrypt.hashpw(password, bcrypt.gensalt(4)).decode("ascii"))


def _signing_in(c: Any, settings: Settings) -> None:  # noqa: ANN401
    c.JupyterHub.authenticator_class = "shared-password"
    c.Authenticator.admin_users = {ADMIN}
    c.Authenticator.allowed_users = {ADMIN, *settings.users}
    c.SharedPasswordAuthenticator.admin_password = settings.home.read_secret(Secret.ADMIN_PASSWORD)
    if settings.users:
        password = settings.home.read_secret(Secret.USERS_PASSWORD)
        c.SharedPasswordAuthenticator.user_password = password


def custom_scopes() -> dict[str, dict[str, Any]]:
    """Return our scopes as JupyterHub defines custom ones."""
    found: dict[str, dict[str, Any]] = {}
    for scope in scopes.SCOPES.values():
        found[scope.name] = {"description": scope.description}
        if scope.includes:
            found[scope.name]["subscopes"] = list(scope.includes)
    return found


def roles() -> list[dict[str, Any]]:
    """Return who may do what: users, admins, and the two services."""
    return [
        {
            "name": "user",
            "description": "What everybody may do with what is theirs.",
            "scopes": ["self", scopes.SELF],
        },
        {
            "name": "kpl-admin",
            "description": "See and change everything on the platform.",
            "scopes": [scopes.ADMIN],
            "users": [ADMIN],
        },
        {
            "name": OPERATOR_SERVICE,
            "description": "kpl-lab makes the admin's personal token.",
            "scopes": ["tokens", "read:users:name"],
            "services": [OPERATOR_SERVICE],
        },
        {
            "name": PLATFORM_SERVICE,
            "description": "The platform looks up users and servers.",
            "scopes": ["list:users", "read:users", "read:servers", "delete:servers"],
            "services": [PLATFORM_SERVICE],
        },
    ]


def _roles(c: Any, settings: Settings, *, supervised: bool) -> None:  # noqa: ANN401
    home = settings.home
    c.JupyterHub.custom_scopes = custom_scopes()
    c.JupyterHub.load_roles = roles()
    # Tokens only: a service with an address that does not answer yet would hold the hub back.
    c.JupyterHub.services = [
        {"name": PLATFORM_SERVICE, "api_token": home.read_secret(Secret.HUB_TO_PLATFORM)},
        {"name": OPERATOR_SERVICE, "api_token": home.read_secret(Secret.OPERATOR)},
    ]
    if not supervised:
        command = [sys.executable, "-P", "-m", "kpl_lab.supervisor", "--attached"]
        c.JupyterHub.services.append(
            {
                "name": "kpl-supervisor",
                "command": [*command, "--without", "hub", "--without", "frontdoor"],
                "cwd": os.fspath(home.root),
                "environment": {"KPL_HOME": str(home.root), "PATH": os.environ.get("PATH", "")},
            }
        )


def examples_folder() -> str:
    """Return the folder of example projects that this installation has, or nothing."""
    checkout = HERE.parents[1] / "examples"
    installed = Path(sys.prefix) / "share" / "kpl-lab" / "examples"
    return next((str(place) for place in (checkout, installed) if place.is_dir()), "")


def _servers(c: Any, settings: Settings) -> None:  # noqa: ANN401
    c.JupyterHub.spawner_class = "kpl_lab.hub.spawners.platform.PlatformSpawner"
    spawner = c.PlatformSpawner
    spawner.platform_url = settings.platform_url
    spawner.platform_token = settings.home.read_secret(Secret.HUB_TO_PLATFORM)
    spawner.front_door_url = settings.public_url
    spawner.skeleton = examples_folder()
    if settings.engine != "local":
        # Where things are on the hub's machine says nothing inside an image.
        c.Spawner.env_keep = ["LANG", "LC_ALL", "TZ"]
    c.Spawner.default_url = "/lab"
    c.Spawner.args = [f"--ServerApp.terminado_settings=shell_command={_TERMINAL}"]
    # The hub leaves out what a user does not have: only administrators' servers keep the catalog.
    c.Spawner.server_token_scopes = [*_SERVER_TOKEN_SCOPES, scopes.SELF, scopes.CATALOG]
    # The wait for capacity is part of a start, and may be long.
    c.Spawner.start_timeout = 24 * 3600
    c.Spawner.http_timeout = 60
    c.Spawner.consecutive_failure_limit = 0
    c.Spawner.poll_interval = 10
