"""The hub's configuration, without a hub."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from traitlets.config import Config

from kpl_lab import scopes
from kpl_lab.hub import config
from kpl_lab.hub.spawners.platform import PROMPT_COMMAND
from kpl_lab.hub.texts import catalogs, page_catalogs
from kpl_lab.platform.domain import server_events, servers
from kpl_lab.platform.domain.faults import FAULTS
from kpl_lab.settings import Secret, Settings, load
from kpl_lab.supervisor.home import prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load({"KPL_HOME": str(tmp_path / "home"), "KPL_PORT": "18000"})
    prepare(found)
    return found


@pytest.fixture
def c(settings: Settings) -> Config:
    c = Config()
    config.configure(c, settings, supervised=True)
    return c


def test_everything_but_the_front_door_listens_on_the_loopback(
    c: Config, settings: Settings
) -> None:
    assert c.JupyterHub.hub_bind_url == f"http://127.0.0.1:{settings.ports.hub}"
    assert "127.0.0.1" in c.TraefikFileProviderProxy.traefik_api_url


def test_servers_outlive_the_hub(c: Config) -> None:
    assert c.JupyterHub.cleanup_servers is False
    assert c.TraefikFileProviderProxy.should_start is False


def test_without_further_users_nobody_but_the_admin_signs_in(c: Config, settings: Settings) -> None:
    assert c.Authenticator.allowed_users == {"admin"}
    assert "user_password" not in c.SharedPasswordAuthenticator
    password = c.SharedPasswordAuthenticator.admin_password
    assert password == settings.home.read_secret(Secret.ADMIN_PASSWORD)
    assert len(password) >= 32, "JupyterHub wants that of admins"


def test_further_users_share_another_password(tmp_path: Path) -> None:
    found = load({"KPL_HOME": str(tmp_path / "home"), "KPL_USERS": "alice, bob"})
    prepare(found)
    c = Config()
    config.configure(c, found, supervised=True)
    assert c.Authenticator.allowed_users == {"admin", "alice", "bob"}
    passwords = c.SharedPasswordAuthenticator
    assert passwords.user_password != passwords.admin_password


def test_services_have_tokens_and_no_address(c: Config) -> None:
    assert all("url" not in service for service in c.JupyterHub.services)


def test_every_scope_of_the_platform_is_known_to_the_hub() -> None:
    defined = config.custom_scopes()
    assert set(defined) == set(scopes.SCOPES)
    for scope in defined.values():
        assert set(scope.get("subscopes", [])) <= set(defined)


def test_only_the_admin_role_has_the_admin_scope() -> None:
    with_admin = [role["name"] for role in config.roles() if scopes.ADMIN in role["scopes"]]
    assert with_admin == ["kpl-admin"]


def test_a_server_s_token_may_keep_the_catalog_and_is_never_an_administrator_s(c: Config) -> None:
    requested = set(c.Spawner.server_token_scopes)
    assert scopes.CATALOG in requested
    assert scopes.ADMIN not in requested
    # Requested for all, given to those who have it.
    with_catalog = [
        role["name"]
        for role in config.roles()
        if scopes.CATALOG in scopes.expand(frozenset(role["scopes"]))
    ]
    assert with_catalog == ["kpl-admin"]


def test_nobody_but_the_hub_may_call_internal_routes(c: Config) -> None:
    granted = {s for role in config.roles() for s in role["scopes"]}
    assert scopes.INTERNAL not in granted
    assert scopes.INTERNAL not in c.Spawner.server_token_scopes


def test_the_configuration_file_is_short() -> None:
    assert len((ROOT / "jupyterhub_config.py").read_text().splitlines()) < 60


def said_by_the_platform() -> list[re.Pattern[str]]:
    """Return what the platform says of servers, as patterns with places for its numbers."""
    texts = [event.text for event in server_events.EVENTS if event.text != "{message}"]
    texts += [f"{fault.cause.rstrip('.')}. {fault.action}" for fault in FAULTS]
    return [re.compile(re.sub(r"\\\{\w+\\\}", r"\\{\\w+\\}", re.escape(t))) for t in texts]


# Made of parts in domain/server_queue.py, domain/capacity.py, domain/faults.py and domain/servers.py.
MADE_OF_PARTS = (
    "After {count} ",
    "Waiting for ",
    "{count} ",
    "1 minute",
    "Pulling the image: ",
    "The command ended with exit code ",
    "The server vanished; ",
)


def test_every_chinese_text_translates_one_that_is_there() -> None:
    sources = [*(ROOT / "kpl_lab/hub/templates").rglob("*.html")]
    sources += [*(ROOT / "kpl_lab/hub/templates").rglob("*.js")]
    sources += [
        ROOT / f"kpl_lab/hub/{name}.py" for name in ("start_page", "bounds", "progress", "failure")
    ]
    text = "\n".join(path.read_text() for path in sources).replace("\\'", "'")
    presets = {"Small", "Medium", "Large", "GPU"}  # made of the presets' names
    states = {*servers.ALIVE, "stopped", "failed", "normal", "warning", "error"}
    said = said_by_the_platform()
    missing = [
        key
        for key in catalogs()["zh"]
        if key not in text
        and key not in presets | states
        and not key.startswith(MADE_OF_PARTS)
        and not any(pattern.fullmatch(key) for pattern in said)
    ]
    assert not missing


def test_the_pages_have_the_sentences_of_the_platform_too() -> None:
    shown = page_catalogs()["zh"]
    assert shown["The node {node} is pulling the image {image}."].startswith("节点")
    assert catalogs()["zh"].items() <= shown.items()


def test_every_sentence_of_a_server_s_history_is_translated() -> None:
    sentences = {event.text for event in server_events.EVENTS} - {"{message}"}
    assert sentences <= set(catalogs()["zh"])


def test_a_terminal_of_a_number_without_a_name_shows_the_users_name() -> None:
    shown = subprocess.run(
        ["bash", "--norc", "-c", f"PS1='\\u@\\h:\\w\\$ '; {PROMPT_COMMAND}; printf %s \"$PS1\""],
        env={"USER": "", "JUPYTERHUB_USER": "alice", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "alice@\\h:\\w\\$ "
