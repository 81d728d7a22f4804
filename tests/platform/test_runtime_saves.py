"""What clients inside algorithms save: models, datasets, code, once and with an end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.platform.conftest import tar_of
from tests.platform.inside import begin, refusal
from tests.platform.running import CODE, Site, until


@pytest.mark.parametrize("path", ["model/upload", "upload/model", "//upload/model"])
async def test_a_model_is_saved_and_the_next_of_its_name_is_a_version(
    site: Site, path: str
) -> None:
    inside = await begin(site)
    for number, content in enumerate((b"one", b"two"), 1):
        answer = await inside.http.post(
            f"http://platform/kpl/runtime/{path}",
            data={"name": "saved", "description": "by hand"},
            files={"file": ("weights.bin", content)},
        )
        assert answer.json()["code"] == "Success", answer.text
        assert answer.json()["data"]["name"] == "saved"

        async def is_saved(number: int = number) -> bool:
            found = await inside.alice.get("models/saved")
            return bool(found["version"] == number and found["state"] == "ready")

        await until(is_saved)
    assert (await inside.alice.get("models/saved"))["owner"] == "alice"


async def test_a_save_whose_answer_was_lost_is_made_once(site: Site) -> None:
    inside = await begin(site)

    async def save(path: str, delivery: str, file: tuple[str, bytes]) -> Any:
        answer = await inside.http.post(
            path,
            data={"name": "saved"},
            files={"file": file},
            headers={"X-KPL-Delivery": delivery},
        )
        assert answer.json()["code"] == "Success", answer.text
        return answer.json()["data"]

    for path, kind, file in (
        ("model/upload", "models", ("weights.bin", b"one")),
        ("dataset_fs/upload", "datasets", ("x.tar", tar_of({"a.txt": "x"}))),
        ("algorithm/upload", "algorithms", ("c.tar", tar_of(CODE))),
    ):
        first = await save(path, f"{kind}:1", file)
        assert await save(path, f"{kind}:1", file) == first
        versions = (await inside.alice.get(f"{kind}/saved"))["versions"]
        assert len(versions) == 1
        await save(path, f"{kind}:2", file)
        versions = (await inside.alice.get(f"{kind}/saved"))["versions"]
        assert len(versions) == 2


async def test_plain_files_and_code_are_saved_too(site: Site) -> None:
    inside = await begin(site)
    tar = tar_of({"a.txt": "1", "b.txt": "2"})
    sent = {"name": "mine", "description": ""}
    answer = await inside.http.post("dataset_fs/upload", data=sent, files={"file": ("x.tar", tar)})
    assert answer.json()["code"] == "Success", answer.text
    found = await inside.alice.until("datasets/mine", "ready", "failed")
    assert (found["state"], found["records"]) == ("ready", 2)
    answer = await inside.http.post(
        "algorithm/upload", data=sent, files={"file": ("c.tar", tar_of(CODE))}
    )
    assert answer.json()["code"] == "Success", answer.text
    await inside.alice.until("algorithms/mine", "ready")


async def test_a_dataset_that_is_none_says_so(site: Site) -> None:
    inside = await begin(site)
    sent = {"name": "broken", "description": ""}
    files = {"file": ("x.tar", tar_of({"root.data": "junk", "root.meta": "junk"}))}
    answer = await inside.http.post("dataset/upload", data=sent, files=files)
    assert answer.json()["code"] == "Success", answer.text
    found = await inside.alice.until("datasets/broken", "failed")
    assert found["message"]


async def test_a_failed_save_is_answered_in_the_original_shape(site: Site) -> None:
    inside = await begin(site)
    answer = await inside.http.post("model/upload", data={"name": "x"})
    assert "file" in refusal(answer, 400)
    files = {"file": ("c.tar", b"no archive")}
    answer = await inside.http.post("algorithm/upload", data={"name": "x"}, files=files)
    assert "archive" in refusal(answer, 422)


async def test_a_stranger_is_refused_before_the_file_is_read(site: Site) -> None:
    inside = await begin(site)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        while read < 1000:
            read += 1
            yield b"0" * 100_000

    answer = await inside.http.post(
        "dataset/upload",
        content=endless(),
        headers={
            "Authorization": "nobody",
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": "100000000",
        },
    )
    assert refusal(answer, 401)
    assert read == 0


async def test_a_saved_file_says_its_length_and_has_an_end(site: Site) -> None:
    inside = await begin(site)

    async def some() -> AsyncIterator[bytes]:
        yield b"--x--"

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await inside.http.post("model/upload", content=some(), headers=kind)
    assert answer.status_code == 411
    huge = str(site.context.options.max_upload_bytes * 2)
    answer = await inside.http.post(
        "model/upload", content=some(), headers=kind | {"Content-Length": huge}
    )
    assert answer.status_code == 413
