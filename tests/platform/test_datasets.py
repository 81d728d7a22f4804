"""Datasets over HTTP: made of uploads, paged, shown safely, downloaded, deleted."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from PIL import Image

from kpl_dataset import ReadOnlyDataset, WriteOnlyDataset
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.repositories.base import Reader
from tests.platform.conftest import create, picture, prepare, send, tar_of

FRUIT = {
    "Fruit/apple/1.png": picture("red", size=(64, 32)),
    "Fruit/apple/2.jpg": picture("green", "JPEG"),
    "Fruit/pear/1.gif": picture("yellow", "GIF"),
    "Fruit/pear/notes.txt": b"not a picture",
}


@pytest.fixture
def fruit(alice: Client, context: Context) -> dict[str, Any]:
    made: dict[str, Any] = create(context, alice, "datasets", "Fruit.tar", tar_of(FRUIT))
    return made


def packed_dataset(folder: Path, record_type: dict[str, Any], *rows: dict[str, Any]) -> bytes:
    with WriteOnlyDataset(folder / "made", "root", record_type) as writer:
        writer.write_all(rows)
    files = (p for p in (folder / "made").rglob("*") if p.is_file())
    return tar_of({str(p.relative_to(folder)): p.read_bytes() for p in files})


def test_a_folder_of_pictures_becomes_a_dataset(fruit: dict[str, Any], context: Context) -> None:
    assert (fruit["state"], fruit["version"], fruit["records"]) == ("ready", 1, 3)
    (version,) = fruit["versions"]
    assert version["classes"] == [
        {"class_name": "apple", "count": 2},
        {"class_name": "pear", "count": 1},
    ]
    assert version["skipped"] == ["Fruit/pear/notes.txt: is not a picture"]
    assert version["source"] == "Fruit.tar"
    with ReadOnlyDataset(context.files.dataset(fruit["id"], 1)) as reader:
        assert len(reader) == 3


def test_the_files_of_a_version_cannot_be_changed(fruit: dict[str, Any], context: Context) -> None:
    folder = context.files.dataset(fruit["id"], 1)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o222 == 0
        assert path.stat().st_nlink == 1 or path.is_dir(), "a link could be changed elsewhere"


def test_the_upload_has_served_its_purpose(
    fruit: dict[str, Any], context: Context, alice: Client
) -> None:
    assert alice.get("uploads/1").status_code == 404
    assert not context.files.upload(1).exists()
    assert list(context.files.path("incoming").iterdir()) == []


def test_events_tell_the_whole_story(fruit: dict[str, Any], context: Context) -> None:
    with context.database.store() as store:
        told = [e.kind for e in store.events.after(0, Reader(name="alice"))]
        kept = [e.kind for e in reversed(store.events.of("datasets", fruit["id"]))]
    assert "progress" in told
    assert (kept[0], kept[-1]) == ("created", "ready")
    assert "progress" not in kept, "ticks are for those who watch, not for the history"


def test_a_name_that_is_taken_becomes_the_next_version(
    fruit: dict[str, Any], alice: Client, context: Context
) -> None:
    more = {**FRUIT, "Fruit/pear/2.png": picture("blue")}
    again = create(context, alice, "datasets", "Fruit.tar", tar_of(more))
    assert again["id"] == fruit["id"]
    assert (again["version"], again["records"]) == (2, 4)
    assert [v["number"] for v in again["versions"]] == [2, 1]
    assert [v["records"] for v in again["versions"]] == [4, 3]


def test_a_failed_version_leaves_the_one_before_in_use(
    fruit: dict[str, Any], alice: Client, context: Context
) -> None:
    again = create(context, alice, "datasets", "Fruit.tar", b"cut short")
    assert (again["state"], again["version"], again["records"]) == ("ready", 1, 3)
    assert again["versions"][0]["state"] == "failed"
    assert again["versions"][0]["reason"] == "bad_archive"
    assert "Pack and send it again" in again["versions"][0]["message"]
    (listed,) = alice.get("datasets").json()["items"]
    assert (listed["version"], listed["records"]) == (1, 3)


@pytest.mark.parametrize(
    ("filename", "content", "reason"),
    [
        ("a.tar", tar_of({}), "empty_dataset"),
        ("a.zip", b"PK\x03\x04 cut", "bad_archive"),
        ("a.tar", tar_of({"../evil": b"x"}), "bad_archive"),
    ],
)
def test_what_cannot_be_one_fails_in_words(
    filename: str, content: bytes, reason: str, alice: Client, context: Context
) -> None:
    made = create(context, alice, "datasets", filename, content)
    assert (made["state"], made["reason"]) == ("failed", reason)
    assert made["message"].endswith(".")
    assert made["version"] is None
    assert list(context.files.path("incoming").iterdir()) == []


def test_a_try_after_a_failure_starts_afresh(alice: Client, context: Context) -> None:
    create(context, alice, "datasets", "a.tar", tar_of({}))
    body = {"name": "thing", "upload": send(alice, "a.csv", b"1")}
    again = alice.post("datasets", json=body).json()
    assert (again["state"], again["reason"], again["message"]) == ("preparing", None, None)
    prepare(context)
    ready = alice.get("datasets/thing").json()
    assert (ready["state"], ready["version"]) == ("ready", 2)


def test_a_request_that_is_repeated_makes_nothing_new(alice: Client) -> None:
    body = {"name": "d", "upload": send(alice, "a.csv", b"1")}
    first = alice.post("datasets", json=body, headers={"Idempotency-Key": "k1"})
    second = alice.post("datasets", json=body, headers={"Idempotency-Key": "k1"})
    assert first.json()["id"] == second.json()["id"]
    assert len(second.json()["versions"]) == 1


@pytest.mark.parametrize("name", ["", "  ", "123", "a/b", "a:b", ".a", "x" * 129, "a\nb"])
def test_bad_names_are_refused(name: str, alice: Client) -> None:
    answer = alice.post("datasets", json={"name": name, "upload": send(alice, "a", b"1")})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_name")


def test_any_language_is_a_name(alice: Client) -> None:
    body = {"name": "水果 und Gemüse", "upload": send(alice, "a", b"1")}
    alice.post("datasets", json=body)
    assert alice.get("datasets/水果 und Gemüse").json()["name"] == "水果 und Gemüse"
    found = alice.get("datasets", params={"search": "果"}).json()["items"]
    assert [d["name"] for d in found] == ["水果 und Gemüse"]


def test_lists_are_paged_newest_first(alice: Client) -> None:
    for n in range(5):
        body = {"name": f"d{n}", "upload": send(alice, "a", b"1")}
        assert alice.post("datasets", json=body).status_code == 201
    first = alice.get("datasets", params={"limit": 2}).json()
    assert [d["name"] for d in first["items"]] == ["d4", "d3"]
    second = alice.get("datasets", params={"limit": 2, "cursor": first["next"]}).json()
    assert [d["name"] for d in second["items"]] == ["d2", "d1"]
    last = alice.get("datasets", params={"limit": 2, "cursor": second["next"]}).json()
    assert [d["name"] for d in last["items"]] == ["d0"]
    assert last["next"] is None
    assert alice.get("datasets", params={"name": "d3"}).json()["items"][0]["name"] == "d3"
    assert len(alice.get("datasets", params={"state": "preparing"}).json()["items"]) == 5


def test_what_is_said_about_it_can_be_changed(fruit: dict[str, Any], alice: Client) -> None:
    wish = {"description": "fresh", "visibility": "public"}
    changed = alice.patch("datasets/thing", json=wish).json()
    assert (changed["description"], changed["visibility"]) == ("fresh", "public")
    assert changed["purpose"] == fruit["purpose"]


class TestRecords:
    def test_they_come_in_pages_with_addresses_for_bytes(
        self, fruit: dict[str, Any], alice: Client
    ) -> None:
        path = f"datasets/{fruit['id']}/versions/1/records"
        page = alice.get(path, params={"offset": 1, "limit": 1}).json()
        assert (page["total"], page["offset"]) == (3, 1)
        (record,) = page["items"]
        assert record["index"] == 1
        assert record["values"]["class_name"] == "apple"
        content = record["values"]["content"]
        assert (content["kind"], content["size"]) == ("image", len(FRUIT["Fruit/apple/2.jpg"]))
        assert content["href"] == f"{path}/1/fields/content"
        assert list(record["values"]) == [f["name"] for f in fruit["versions"][0]["fields"]]

    def test_one_class_can_be_picked(self, fruit: dict[str, Any], alice: Client) -> None:
        page = alice.get("datasets/thing/versions/1/records?class_name=pear").json()
        assert (page["total"], [r["index"] for r in page["items"]]) == (1, [2])
        none = alice.get("datasets/thing/versions/1/records?class_name=plum").json()
        assert (none["total"], none["items"]) == (0, [])

    def test_behind_the_end_there_is_nothing(self, fruit: dict[str, Any], alice: Client) -> None:
        page = alice.get("datasets/thing/versions/1/records?offset=99999999999").json()
        assert (page["total"], page["items"]) == (3, [])

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_pictures_are_encoded_anew(
        self, index: int, fruit: dict[str, Any], alice: Client
    ) -> None:
        path = f"datasets/thing/versions/1/records/{index}/fields/content"
        answer = alice.get(path, params={"size": 16})
        assert answer.headers["content-type"] == "image/png"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        with Image.open(io.BytesIO(answer.content)) as shown:
            assert max(shown.size) <= 16
            assert shown.format == "PNG"

    def test_without_a_size_bytes_are_to_be_saved_and_never_run(
        self, fruit: dict[str, Any], alice: Client
    ) -> None:
        answer = alice.get("datasets/thing/versions/1/records/0/fields/content")
        assert answer.content == FRUIT["Fruit/apple/1.png"]
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]

    def test_a_hostile_record_cannot_run(self, alice: Client, context: Context) -> None:
        evil = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
        create(context, alice, "datasets", "a.tar", tar_of({"d/x.svg": evil, "d/x.html": evil}))
        for index in (0, 1):
            path = f"datasets/thing/versions/1/records/{index}/fields/content"
            saved = alice.get(path)
            assert saved.headers["content-type"] == "application/octet-stream"
            refused = alice.get(path, params={"size": 64})
            assert (refused.status_code, refused.json()["code"]) == (422, "no_picture")

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("3/fields/content", 404),
            ("-1/fields/content", 422),
            ("99999999999999999999999/fields/content", 404),
            ("0/fields/nothing", 404),
            ("0/fields/class_id", 422),
            ("0/fields/content?size=1", 422),
            ("0/fields/content?size=100000", 422),
        ],
    )
    def test_what_is_not_there_is_told(
        self, path: str, status: int, fruit: dict[str, Any], alice: Client
    ) -> None:
        answer = alice.get(f"datasets/thing/versions/1/records/{path}")
        assert answer.status_code == status, answer.text

    def test_nested_values_have_addresses_of_their_own(
        self, alice: Client, context: Context, tmp_path: Path
    ) -> None:
        record_type = {
            "a.b": "ByteArray",
            "masks": [{"mask": "ByteArray", "n": "Int"}],
            "meta": {"inner": {"图": "ByteArray"}},
            "number": "Float",
        }
        row = {
            "a.b": b"dotted",
            "masks": [{"mask": b"m0", "n": 1}, {"mask": b"m1", "n": 2}],
            "meta": {"inner": {"图": picture()}},
            "number": float("nan"),
        }
        create(context, alice, "datasets", "d.tar", packed_dataset(tmp_path, record_type, row))
        page = alice.get("datasets/thing/versions/1/records").json()
        values = page["items"][0]["values"]
        assert values["number"] == "nan"
        assert values["meta"]["inner"]["图"]["kind"] == "image"
        for place, expected in (
            (values["a.b"], b"dotted"),
            (values["masks"][0]["mask"], b"m0"),
            (values["masks"][1]["mask"], b"m1"),
            (values["meta"]["inner"]["图"], picture()),
        ):
            assert alice.get(place["href"]).content == expected

    def test_long_texts_are_cut_for_the_page(
        self, alice: Client, context: Context, tmp_path: Path
    ) -> None:
        content = packed_dataset(tmp_path, {"t": "String"}, {"t": "x" * 10_000})
        create(context, alice, "datasets", "d.tar", content)
        (record,) = alice.get("datasets/thing/versions/1/records").json()["items"]
        assert len(record["values"]["t"]) == 2001
        whole = alice.get("datasets/thing/versions/1/records/0/fields/t")
        assert whole.content == b"x" * 10_000

    def test_a_large_file_is_given_whole(
        self, alice: Client, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import kpl_dataset

        (tmp_path / "big").write_bytes(os.urandom(5000))
        kpl_dataset.set_size_threshold(1000)
        try:
            content = packed_dataset(tmp_path, {"f": "File"}, {"f": str(tmp_path / "big")})
        finally:
            kpl_dataset.set_size_threshold(50 * 1024 * 1024)
        create(context, alice, "datasets", "d.tar", content)
        (record,) = alice.get("datasets/thing/versions/1/records").json()["items"]
        assert record["values"]["f"]["size"] == 5000
        assert alice.get(record["values"]["f"]["href"]).content == (tmp_path / "big").read_bytes()


def test_a_download_is_the_dataset_again(
    fruit: dict[str, Any], alice: Client, context: Context
) -> None:
    answer = alice.get("datasets/thing/versions/1/download")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''thing-v1.tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        got = {
            Path(member.name).name: content.read()
            for member in archive
            if (content := archive.extractfile(member)) is not None
        }
    folder = context.files.dataset(fruit["id"], 1)
    assert got == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_version_that_is_not_ready_is_told(alice: Client) -> None:
    alice.post("datasets", json={"name": "d", "upload": send(alice, "a.csv", b"1")})
    answer = alice.get("datasets/d/versions/1/records")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")


class TestDeleting:
    def test_nothing_is_left(self, fruit: dict[str, Any], alice: Client, context: Context) -> None:
        assert alice.delete("datasets/thing").status_code == 204
        assert alice.get("datasets/thing").status_code == 404
        assert not context.files.path("datasets", fruit["id"]).exists()

    def test_the_next_one_gets_another_id(
        self, fruit: dict[str, Any], alice: Client, context: Context
    ) -> None:
        alice.delete("datasets/thing")
        again = create(context, alice, "datasets", "Fruit.tar", tar_of(FRUIT))
        assert again["id"] > fruit["id"]

    def test_one_that_is_mounted_stays(
        self, fruit: dict[str, Any], alice: Client, context: Context
    ) -> None:
        from tests.platform.test_contract import make_private

        with context.database.store() as store:
            server = make_private(store, "servers", user="alice", state="running")
            make_private(
                store,
                "mounts",
                server_id=server,
                dataset_id=fruit["id"],
                state="mounted",
                path="datasets/thing",
            )
        answer = alice.delete("datasets/thing")
        assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
        assert "unmount it first" in answer.json()["message"]

    def test_one_that_a_task_reads_stays(
        self, fruit: dict[str, Any], alice: Client, context: Context
    ) -> None:
        from tests.platform.test_contract import make_private

        used = [{"key": "data", "kind": "dataset", "id": fruit["id"], "name": "x", "version": 1}]
        with context.database.store() as store:
            make_private(
                store, "tasks", owner="alice", workspace_id=1, state="running", name="reader",
                inputs=used, desired="run",
            )  # fmt: skip
        answer = alice.delete("datasets/thing")
        assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
        assert "'reader'" in answer.json()["message"]

    def test_one_that_a_service_reads_stays(
        self, fruit: dict[str, Any], alice: Client, context: Context
    ) -> None:
        from tests.platform.test_contract import make_private

        used = [{"key": "data", "kind": "dataset", "id": fruit["id"], "name": "x", "version": 1}]
        with context.database.store() as store:
            make_private(
                store, "services", owner="alice", workspace_id=1, state="running", name="front",
                inputs=used,
            )  # fmt: skip
        answer = alice.delete("datasets/thing")
        assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
        assert "'front'" in answer.json()["message"]

    def test_an_import_that_was_under_way_leaves_nothing(
        self, alice: Client, context: Context
    ) -> None:
        made = alice.post("datasets", json={"name": "d", "upload": send(alice, "a.csv", b"1")})
        assert alice.delete(f"datasets/{made.json()['id']}").status_code == 204
        prepare(context)
        assert not context.files.path("datasets", made.json()["id"]).exists()
