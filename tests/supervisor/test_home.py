"""Folders and secrets of an installation."""

import json
import os
import socket
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


def test_the_way_into_a_bucket_reaches_those_alone_that_keep_files(tmp_path: Path) -> None:
    outside = {"AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://s3", "KPL_TOKEN": "x"}
    settings = load({"KPL_HOME": str(tmp_path), "KPL_STORAGE_URL": "s3://bucket/lab/"})
    for plan in plans(settings, prepare(settings), outside):
        found = {k: v for k, v in plan.environment.items() if k in (*outside, "KPL_STORAGE_URL")}
        keeps = plan.name in ("platform", "controller")
        assert found == (
            {
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_ENDPOINT_URL": "http://s3",
                "KPL_STORAGE_URL": "s3://bucket/lab",
            }
            if keeps
            else {}
        )


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


def test_a_pod_finds_its_own_cluster_with_the_cluster_engine_alone(tmp_path: Path) -> None:
    outside = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for engine, found in (("kubernetes", outside), ("local", {})):
        settings = load({"KPL_HOME": str(tmp_path / engine), "KPL_ENGINE": engine})
        for plan in plans(settings, prepare(settings), outside):
            assert {k: v for k, v in plan.environment.items() if k in outside} == found


def test_the_front_door_listens_where_it_is_told_and_the_rest_on_the_loopback(
    tmp_path: Path,
) -> None:
    settings = load({"KPL_HOME": str(tmp_path), "KPL_PORT": "18000", "KPL_LISTEN": "0.0.0.0"})
    static = frontdoor.static_config(settings)
    points = json.loads(json.dumps(static["entryPoints"]))
    addresses = sorted(point["address"].split(":")[0] for point in points.values())
    assert addresses == ["0.0.0.0", "127.0.0.1"]


def test_a_port_taken_on_another_address_is_in_the_way_where_we_listen_on_all(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = str(other.getsockname()[1])
        here, all_of_them = (
            load({"KPL_HOME": str(tmp_path), "KPL_PORT": port, "KPL_LISTEN": address})
            for address in ("127.0.0.1", "0.0.0.0")
        )
        ports.require_free(here, public=True, private=False)
        with pytest.raises(Conflict, match=f"Port {port} is taken"):
            ports.require_free(all_of_them, public=True, private=False)


def test_the_administrators_password_is_the_one_of_a_file(tmp_path: Path) -> None:
    given = tmp_path / "given"
    settings = load({"KPL_HOME": str(tmp_path / "h"), "KPL_ADMIN_PASSWORD_FILE": str(given)})
    with pytest.raises(Invalid, match=r"KPL_ADMIN_PASSWORD_FILE names .*given, which cannot be"):
        prepare(settings)
    given.write_text("short\n")
    with pytest.raises(Invalid, match="has 5 characters; it needs 32 or more"):
        prepare(settings)
    for password in ("a" * 32, "b" * 40):
        given.write_text(password + "\n")
        prepare(settings)
        assert settings.home.read_secret(Secret.ADMIN_PASSWORD) == password
        assert mode(settings.home.secrets / Secret.ADMIN_PASSWORD) == 0o600


def test_the_scrapers_token_is_made_up_or_that_of_a_file(tmp_path: Path) -> None:
    plain = load({"KPL_HOME": str(tmp_path / "h")})
    prepare(plain)
    assert len(plain.home.read_secret(Secret.METRICS)) == 64
    given = tmp_path / "given"
    given.write_text("short\n")
    settings = load({"KPL_HOME": str(tmp_path / "h"), "KPL_METRICS_TOKEN_FILE": str(given)})
    with pytest.raises(
        Invalid, match=r"scrapers' token in .* has 5 characters; it needs 16 or more"
    ):
        prepare(settings)
    given.write_text("a token of scrapers\n")
    prepare(settings)
    assert settings.home.read_secret(Secret.METRICS) == "a token of scrapers"
    assert mode(settings.home.secrets / Secret.METRICS) == 0o600


def test_a_folder_of_files_is_shown_in_the_home_and_what_goes_from_it_goes(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config"
    settings = load({"KPL_HOME": str(tmp_path / "h"), "KPL_CONFIG": str(config)})
    with pytest.raises(Invalid, match=r"KPL_CONFIG names .*config, which cannot be read"):
        prepare(settings)
    config.mkdir()
    for name in ("platform.py", "images.yml"):
        (config / name).write_text(name)
    prepare(settings)
    (config / "images.yml").unlink()
    prepare(settings)
    root = settings.home.root
    assert (root / "platform.py").read_text() == "platform.py"
    assert not (root / "images.yml").is_symlink()
    (root / "images.yml").write_text("own")
    (config / "images.yml").write_text("given")
    with pytest.raises(Invalid, match="are both there; remove one"):
        prepare(settings)
    assert (root / "images.yml").read_text() == "own"
