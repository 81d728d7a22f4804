"""Settings: ports are chosen once and kept; variables are checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpl_lab import settings
from kpl_lab.errors import Invalid


def test_ports_are_picked_at_the_first_start_and_kept(tmp_path: Path) -> None:
    environment = {"KPL_HOME": str(tmp_path / "home")}
    first = settings.load(environment)
    again = settings.load(environment)
    assert first == again
    ports = first.ports
    assert ports.public == 8000
    assert len({ports.hub, ports.platform, ports.frontdoor_api}) == 3


def test_ports_are_kept_where_only_the_folder_above_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) == tmp_path)
    environment = {"KPL_HOME": str(tmp_path / "new" / "home")}
    assert settings.load(environment) == settings.load(environment)


def test_the_public_port_is_the_callers(tmp_path: Path) -> None:
    found = settings.load({"KPL_HOME": str(tmp_path), "KPL_PORT": "9123"})
    assert found.public_url == "http://127.0.0.1:9123"


def test_users_are_split_at_commas(tmp_path: Path) -> None:
    found = settings.load({"KPL_HOME": str(tmp_path), "KPL_USERS": "ada, 王 ,"})
    assert found.users == ("ada", "王")


@pytest.mark.parametrize(("value", "found"), [("debian:12", "debian:12"), ("", None)])
def test_the_image_to_build_on_is_known_where_it_is_named(
    tmp_path: Path, value: str, found: str | None
) -> None:
    loaded = settings.load({"KPL_HOME": str(tmp_path), "KPL_BASE_IMAGE": value})
    assert loaded.base_image == found


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"KPL_PORT": "http"}, "not a port"),
        ({"KPL_ENGINE": "podman"}, "not an engine"),
        ({"KPL_INSTANCE": "Mine"}, "not a word of eight hexadecimal digits"),
        ({"KPL_LISTEN": "localhost"}, "not an IPv4 address"),
        ({"KPL_METRICS_LISTEN": "localhost:9464"}, "KPL_METRICS_LISTEN='localhost' is not an IPv4"),
        ({"KPL_STORAGE_URL": "https://bucket"}, "not a bucket, as in s3://bucket"),
        ({"KPL_STORAGE_URL": "s3://b"}, "not a bucket, as in s3://bucket"),
        ({"KPL_STORAGE_URL": "s3://bucket/a b"}, "not a bucket, as in s3://bucket"),
        ({"KPL_METRICS_LISTEN": "127.0.0.1"}, "not an address and a port"),
        ({"KPL_METRICS_LISTEN": "127.0.0.1:70000"}, "not an address and a port"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(
    tmp_path: Path, more: dict[str, str], says: str
) -> None:
    with pytest.raises(Invalid, match=says):
        settings.load({"KPL_HOME": str(tmp_path)} | more)


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(Invalid, match=r"settings\.json"):
        settings.load({"KPL_HOME": str(tmp_path)})


def test_a_missing_secret_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="kpl-lab up"):
        settings.load({"KPL_HOME": str(tmp_path)}).home.read_secret("jwt")


def test_an_instance_may_be_chosen_at_the_first_start_and_stays(tmp_path: Path) -> None:
    chosen = {"KPL_HOME": str(tmp_path), "KPL_INSTANCE": "0123abcd"}
    assert settings.load(chosen).instance == "0123abcd"
    assert settings.load({"KPL_HOME": str(tmp_path)}).instance == "0123abcd"
    with pytest.raises(Invalid, match="is that of the installation 0123abcd"):
        settings.load(chosen | {"KPL_INSTANCE": "ffffffff"})
