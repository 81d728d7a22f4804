"""What is in an image, looked at by a pod of it: its facts, or a code that the platform knows."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.spec import ImageFacts, RegistryLogin
from kpl_lab.errors import EngineError
from tests.doubles import kubernetes_play as play
from tests.engines.kubernetes.benches import NS, Doubled, doubled, until

IMAGE = "registry.example/team/image:1"
PULL = f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = '


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Doubled]:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.images._STUCK_SECONDS", 0.1)
    async with doubled(tmp_path) as found:
        yield found


async def look(bench: Doubled, login: RegistryLogin | None = None) -> tuple[Any, Any]:
    """Begin a look; return it, and its pod."""
    task = asyncio.create_task(bench.engine.inspect_image(IMAGE, login=login))
    pods = await until(lambda: bench.server.store.all("Pod", NS))
    return task, pods[0]


async def test_an_image_that_answers_has_facts(bench: Doubled) -> None:
    task, pod = await look(bench)
    play.place(bench.server.store, pod)
    bench.ends(pod)
    assert isinstance(await task, ImageFacts)
    assert bench.objects() == []
    # It is known now, and no pod is needed.
    assert isinstance(await bench.engine.inspect_image(IMAGE), ImageFacts)


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        ("ErrImagePull", PULL + "manifest unknown", "image_missing"),
        ("ErrImageNeverPull", "not there", "image_missing"),
        ("ErrImagePull", PULL + "401 Unauthorized", "registry_denied"),
        ("ErrImagePull", PULL + "dial tcp: lookup registry.example: no such host", "registry_unreachable"),
        ("ErrImagePull", PULL + "x509: unknown authority", "registry_unreachable"),
        ("ErrImagePull", PULL + "no match for platform in manifest", "wrong_architecture"),
        ("ErrImagePull", PULL + "toomanyrequests", "registry_rate_limited"),
        ("ImagePullBackOff", "Back-off pulling image", "image_unusable"),
        ("CreateContainerError", "exec: exec format error", "wrong_architecture"),
    ],
)  # fmt: skip
async def test_one_that_cannot_be_had_says_why(
    bench: Doubled, reason: str, message: str, code: str
) -> None:
    task, pod = await look(bench)
    play.place(bench.server.store, pod)
    play.wait(bench.server.store, pod, reason, message)
    with pytest.raises(EngineError) as found:
        await task
    assert found.value.code == code
    assert bench.objects() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "/bin/sh": stat /bin/sh: no such file or directory', "image_unusable"),
        ("exec /bin/sh: exec format error", "wrong_architecture"),
    ],
)
async def test_one_that_cannot_start_says_why(bench: Doubled, message: str, code: str) -> None:
    task, pod = await look(bench)
    play.place(bench.server.store, pod)
    bench.ends(pod, 128, reason="StartError", message=message)
    with pytest.raises(EngineError) as found:
        await task
    assert found.value.code == code


async def test_a_password_is_shown_to_its_registry_alone_and_kept_nowhere(bench: Doubled) -> None:
    login = RegistryLogin(username="alice", password="secret")
    task, pod = await look(bench, login)
    (secret,) = bench.server.store.all("Secret", NS)
    assert {"name": secret["metadata"]["name"]} in pod["spec"]["imagePullSecrets"]
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    (host,) = config["auths"]
    assert host == "registry.example"
    play.place(bench.server.store, pod)
    bench.ends(pod)
    await task
    assert bench.objects() == []
