"""Images are made of what the file browser names: a folder, one of its files, an archive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.platform import Platform, unpacked
from tests.lab.test_local import post, problem_of

Fetch = Callable[..., Any]


@pytest.fixture
def folder(jp_root_dir: Path) -> Path:
    """A folder of the home with nothing to build from."""
    made = jp_root_dir / "mine"
    made.mkdir()
    (made / "data.txt").write_text("1 2 3\n")
    return made


async def build(jp_fetch: Fetch, path: str, **fields: Any) -> dict[str, Any]:
    """Order the making of an image, and return what the platform made of that."""
    job = json.loads((await post(jp_fetch, "builds", path=path, name="mine", **fields)).body)
    while job["state"] == "sending":
        await asyncio.sleep(0.01)
        job = json.loads((await jp_fetch("kpl-lab", "local", "jobs", str(job["id"]))).body)
    assert job["state"] == "done", job["problem"]
    found: dict[str, Any] = job["result"]
    return found


async def test_a_dockerfile_is_sent_with_what_it_copies(
    jp_fetch: Fetch, platform: Platform, folder: Path
) -> None:
    (folder / "Dockerfile").write_text("FROM base\nCOPY data.txt /\n")
    (folder / ".dockerignore").write_text("*.log\n")
    (folder / "run.log").write_text("x")
    made = await build(jp_fetch, "mine", title="Mine", dockerfile={"arguments": {"A": "1"}})
    assert (made["name"], made["state"]) == ("mine", "queued")
    body = platform.bodies[0]
    assert body.dockerfile.text.startswith("FROM base")
    assert (body.dockerfile.arguments, body.dockerfile.upload) == ({"A": "1"}, 1)
    assert body.title == "Mine"
    sent = unpacked(bytes(platform.uploads[1]))
    assert "data.txt" in sent
    assert "run.log" not in sent


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("environment.yml", "version: 1\nimage: {from_image: base}\n", "environment_yml"),
        ("requirements.txt", "numpy==2.1.0\n", "requirements"),
    ],
)
async def test_lines_are_sent_as_they_are_and_nothing_else(
    jp_fetch: Fetch, platform: Platform, folder: Path, name: str, text: str, field: str
) -> None:
    (folder / name).write_text(text)
    for path in ("mine", f"mine/{name}"):
        await build(jp_fetch, path)
        assert getattr(platform.bodies[-1], field) == text
    assert platform.uploads == {}


async def test_an_archive_is_sent_whole(jp_fetch: Fetch, platform: Platform, folder: Path) -> None:
    (folder / "image.tar").write_bytes(b"layers")
    await build(jp_fetch, "mine/image.tar")
    assert platform.bodies[0].archive == 1
    assert bytes(platform.uploads[1]) == b"layers"


@pytest.mark.parametrize(
    ("path", "fields", "code", "words"),
    [
        ("mine", {}, "no_build_file", "has none of Dockerfile, environment.yml, requirements.txt"),
        ("mine/../../..", {}, "outside_root", "leads out of"),
        ("mine/data.txt", {"nonsense": 1}, "invalid_body", "nonsense"),
    ],
)
async def test_what_cannot_be_built_is_told_before_anything_is_sent(
    jp_fetch: Fetch, platform: Platform, folder: Path, path: str, fields: Any, code: str, words: str
) -> None:
    answer = post(jp_fetch, "builds", path=path, name="mine", **fields)
    status, found, message = await problem_of(answer)
    assert (status, found) == (422, code)
    assert words in message
    assert platform.requests == []


async def test_a_server_that_the_platform_does_not_know_has_no_environment_to_save(
    jp_fetch: Fetch,
) -> None:
    status, code, _ = await problem_of(jp_fetch("kpl-lab", "local", "environment"))
    assert (status, code) == (404, "no_server")
