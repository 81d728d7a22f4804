"""What a real registry is asked, and how its refusals are told."""

from __future__ import annotations

import base64
import io
import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.registry import Registry
from kpl_lab.errors import KplError
from tests.engines.docker_harness import registry

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="there is no docker-registry to ask"
)
TYPE = "application/vnd.oci.image.index.v1+json"


def put(host: str, repository: str, tag: str, login: str = "") -> None:
    """Put the smallest image there is into a registry: an index of none."""
    body = json.dumps({"schemaVersion": 2, "mediaType": TYPE, "manifests": []}).encode()
    asked = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{tag}", data=io.BytesIO(body), method="PUT",
        headers={"Content-Type": TYPE, "Content-Length": str(len(body))},
    )  # fmt: skip
    if login:
        asked.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    urllib.request.urlopen(asked, timeout=20).close()


async def test_a_registry_is_asked_for_one_image(tmp_path: Path) -> None:
    with registry(tmp_path) as host:
        put(host, "team/i1", "d1")
        asked = Registry(host, is_insecure=True)
        assert await asked.has("team/i1", "d1")
        assert not await asked.has("team/i1", "d2")
        assert not await asked.has("team/i2", "d1")


async def test_one_that_removes_nothing_says_that_the_image_stays(tmp_path: Path) -> None:
    with registry(tmp_path) as host:
        put(host, "team/i1", "d1")
        asked = Registry(host, is_insecure=True)
        assert not await asked.remove("team/i1", "d1")
        assert await asked.has("team/i1", "d1")
        assert await asked.remove("team/i1", "gone")


async def test_a_login_opens_it_and_without_one_it_is_told(tmp_path: Path) -> None:
    with registry(tmp_path, password="p:w") as host:
        put(host, "i1", "d1", "ada:p:w")
        assert await Registry(host, login="ada:p:w", is_insecure=True).has("i1", "d1")
        for login in ("", "ada:wrong"):
            with pytest.raises(KplError, match="registry_secret") as refused:
                await Registry(host, login=login, is_insecure=True).has("i1", "d1")
            assert refused.value.code == "registry_denied"


async def test_one_that_does_not_answer_as_a_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(KplError, match=r"127\.0\.0\.1:9") as refused:
        await Registry("127.0.0.1:9", is_insecure=True).has("i1", "d1")
    assert refused.value.code == "registry_unreachable"
    with registry(tmp_path) as host, pytest.raises(KplError) as refused:
        await Registry(host).has("i1", "d1")  # it speaks no TLS
    assert refused.value.code == "registry_unreachable"
