"""Folders and secrets of an installation."""

import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from kpl_lab.errors import Conflict, Invalid
from kpl_lab.settings import Secret, Settings, load
from kpl_lab.supervisor import frontdoor, ports
from kpl_lab.supervisor.home import prepare
from kpl_lab.supervisor.plan import plans


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"KPL_HOME": str(tmp_path / "kpl home"), "KPL_PORT": "18000"})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_closed_to_others(settings: Settings) -> None:
    prepare(settings)
    first = {name: settings.home.read_secret(name) for name in Secret}
    prepare(settings)
    assert {name: settings.home.read_secret(name) for name in Secret} == first
    assert len(set(first.values())) == len(first)
    assert mode(settings.home.secrets) == 0o700
    assert {mode(settings.home.secrets / name) for name in Secret} == {0o600}


def test_a_home_that_cannot_be_made_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match=r"file/home cannot be .*: Not a directory. Set KPL_HOME"):
        prepare(load({"KPL_HOME": str(tmp_path / "file" / "home")}))


def test_modes_that_were_opened_are_closed_again(settings: Settings) -> None:
    prepare(settings)
    settings.home.secrets.chmod(0o755)
    (settings.home.secrets / Secret.JWT).chmod(0o644)
    prepare(settings)
    assert mode(settings.home.secrets) == 0o700
    assert mode(settings.home.secrets / Secret.JWT) == 0o600


def test_the_way_below_the_home_is_open_but_not_its_list(settings: Settings) -> None:
    prepare(settings)
    assert mode(settings.home.root) == 0o711


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other accounts to give things to")
def test_as_root_the_platform_owns_its_folders_and_cannot_replace_records(
    settings: Settings,
) -> None:
    account = prepare(settings)
    assert settings.home.platform.stat().st_uid == account.uid != 0
    assert settings.home.run.stat().st_uid == 0
    assert settings.home.run.stat().st_mode & stat.S_ISVTX


def test_secrets_are_in_no_argument_and_no_variable(settings: Settings) -> None:
    account = prepare(settings)
    said = json.dumps([[p.command, dict(p.environment)] for p in plans(settings, account, {})])
    assert not [name for name in Secret if settings.home.read_secret(name) in said]


def test_only_chosen_variables_reach_our_processes(settings: Settings) -> None:
    account = prepare(settings)
    outside = {"AWS_SECRET_ACCESS_KEY": "x", "LANG": "C.UTF-8", "KPL_TOKEN": "x"}
    for plan in plans(settings, account, outside):
        assert plan.environment["LANG"] == "C.UTF-8"
        assert not {"AWS_SECRET_ACCESS_KEY", "KPL_TOKEN"} & set(plan.environment)


def test_the_front_door_calls_nobody_and_its_api_wants_a_password(settings: Settings) -> None:
    account = prepare(settings)
    static = yaml.safe_load(frontdoor.write_config(settings, account).read_text())
    assert static["global"] == {"checkNewVersion": False, "sendAnonymousUsage": False}
    assert all(
        entry["address"].startswith("127.0.0.1:") for entry in static["entryPoints"].values()
    )
    dynamic = settings.home.frontdoor / "dynamic" / "frontdoor.yml"
    api = yaml.safe_load(dynamic.read_text())["http"]
    (user,) = api["middlewares"]["kpl-frontdoor-auth"]["basicAuth"]["users"]
    assert user.startswith("kpl:$2b$04$")
    assert settings.home.read_secret(Secret.FRONTDOOR_API) not in dynamic.read_text()


def test_a_taken_port_names_port_process_and_remedy(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = load({"KPL_HOME": str(tmp_path), "KPL_PORT": str(port)})
        with pytest.raises(Conflict) as caught:
            ports.require_free(settings, public=True, private=False)
    assert str(port) in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    assert "KPL_PORT=" in caught.value.message
