"""Whose address and token are used, and that no token goes where it does not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kpl_lab.client.credentials import (
    Credentials,
    credential_files,
    find_credentials,
    save_credentials,
)
from kpl_lab.errors import Invalid, Unauthenticated


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"KPL_HOME": str(tmp_path / "kpl"), "HOME": str(tmp_path / "home"), **more}


def keep(path: Path, url: str = "http://127.0.0.1:8123", token: str = "kept") -> None:
    save_credentials(path, Credentials(url, token, username="ada"))


NOTEBOOK = {
    "JUPYTERHUB_API_TOKEN": "notebook",
    "KPL_API_URL": "http://127.0.0.1:7000/kpl/api/v1",
    "JUPYTERHUB_USER": "ada",
}


def test_arguments_come_first(tmp_path: Path) -> None:
    keep(tmp_path / "kpl/credentials.json")
    found = find_credentials(environment(tmp_path, **NOTEBOOK), url="http://h:1", token="t")
    assert (found.url, found.token) == ("http://h:1", "t")


def test_the_notebook_server_comes_before_files(tmp_path: Path) -> None:
    keep(tmp_path / "kpl/credentials.json")
    found = find_credentials(environment(tmp_path, **NOTEBOOK))
    assert (found.token, found.username, found.server) == ("notebook", "ada", "")
    assert found.api_url == "http://127.0.0.1:7000/kpl/api/v1"
    assert found.url == "http://127.0.0.1:7000"


def test_a_notebook_may_know_a_shorter_way_to_the_api(tmp_path: Path) -> None:
    variables = environment(tmp_path, **NOTEBOOK, KPL_PUBLIC_URL="http://127.0.0.1:8000/")
    found = find_credentials(variables)
    assert found.url == "http://127.0.0.1:8000"
    assert found.api_url == "http://127.0.0.1:7000/kpl/api/v1"


def test_the_home_of_the_installation_comes_before_the_users(tmp_path: Path) -> None:
    keep(tmp_path / "home/.kpl/credentials.json", token="users")
    assert find_credentials(environment(tmp_path)).token == "users"
    keep(tmp_path / "kpl/credentials.json", token="installation")
    found = find_credentials(environment(tmp_path))
    assert (found.token, found.username) == ("installation", "ada")
    assert found.api_url == "http://127.0.0.1:8123/kpl/api/v1"
    assert found.hub_api_url == "http://127.0.0.1:8123/hub/api"


def test_kpl_of_a_checkout_finds_its_installation_from_any_folder(tmp_path: Path) -> None:
    own, users = tmp_path / "clone/.kpl/credentials.json", tmp_path / "home/.kpl/credentials.json"
    here = credential_files({"HOME": str(tmp_path / "home")}, checkout=tmp_path / "clone")
    assert here[1:] == [own, users]
    named = credential_files(environment(tmp_path), checkout=tmp_path / "clone")
    assert own not in named, "who names an installation means that one"


def test_a_kept_token_is_not_sent_to_another_address(tmp_path: Path) -> None:
    keep(tmp_path / "kpl/credentials.json")
    with pytest.raises(Unauthenticated, match="elsewhere"):
        find_credentials(environment(tmp_path), url="http://elsewhere:8000")
    assert find_credentials(environment(tmp_path), url="http://127.0.0.1:8123/").token == "kept"


def test_without_any_token_the_ways_to_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated, match=r"kpl login.*make up.*KPL_HOME"):
        find_credentials(environment(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 1, "token": "x"}', "\udcff"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kpl/credentials.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Invalid, match=r"credentials\.json.*kpl login"):
        find_credentials(environment(tmp_path))


def test_what_is_kept_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "kpl/credentials.json"
    keep(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(path.read_text())) == {"url", "username", "token"}


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "file:///x", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="http://HOST:PORT"):
        Credentials(url, "t")
