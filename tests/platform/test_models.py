"""Models over HTTP: a file or a packed folder, in numbered versions."""

from __future__ import annotations

import io
import os
import tarfile
from typing import Any

import pytest
from httpx import Client

from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, models
from kpl_lab.platform.domain.models import Origin
from tests.platform.conftest import create, send, tar_of, zip_of
from tests.platform.test_contract import make_private


def downloaded(client: Client, version: int = 1) -> dict[str, bytes]:
    answer = client.get(f"models/thing/versions/{version}/download")
    assert answer.status_code == 200, answer.text
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def test_a_single_file_is_a_model_under_its_own_name(alice: Client, context: Context) -> None:
    weights = zip_of({"data.pkl": b"x"})
    made = create(context, alice, "models", "权重 1.pt", weights)
    assert (made["state"], made["version"], made["bytes"]) == ("ready", 1, len(weights))
    assert made["versions"][0]["files"] == [{"path": "权重 1.pt", "bytes": len(weights)}]
    assert downloaded(alice) == {"权重 1.pt": weights}


def test_a_packed_folder_loses_its_one_top_folder(alice: Client, context: Context) -> None:
    made = create(context, alice, "models", "save.tar", tar_of({"save/a": b"1", "save/d/b": b"2"}))
    assert [f["path"] for f in made["versions"][0]["files"]] == ["a", "d/b"]
    assert downloaded(alice) == {"a": b"1", "d/b": b"2"}


def test_a_packed_file_whose_name_is_no_text_is_refused_by_its_name(
    alice: Client, context: Context
) -> None:
    packed = tar_of({"save/a": b"1", os.fsdecode(b"save/\xff.bin"): b"2"})
    made = create(context, alice, "models", "save.tar", packed)
    assert (made["state"], made["reason"]) == ("failed", "bad_archive")
    assert "xff.bin' has a name that is not text in UTF-8" in made["message"]


def test_a_failed_version_leaves_the_one_before_in_use(alice: Client, context: Context) -> None:
    create(context, alice, "models", "a.bin", b"12345")
    again = create(context, alice, "models", "a.tar.gz", b"cut")
    assert (again["state"], again["version"], again["bytes"]) == ("ready", 1, 5)
    assert again["versions"][0]["reason"] == "bad_archive"


def test_lineage_says_what_it_was_made_from_and_what_uses_it(
    alice: Client, context: Context
) -> None:
    link = {"kind": "task", "relation": "made_by", "id": 7, "name": "train digits"}
    with context.database.store() as store:
        workspace = access.workspace_id(store, "default")
        origin = Origin(
            owner="alice",
            workspace_id=workspace,
            task_id=7,
            metrics={"accuracy": 0.98},
            parameters={"lr": 0.1},
            lineage=[link],
        )
        record, version = models.begin_version(store, "thing", origin)
        models.finish_version(store, version, [{"path": "m", "bytes": 3}])
        make_private(
            store, "services", owner="alice", name="front", workspace_id=workspace,
            state="running", model_id=record.id, model="thing:1",
        )  # fmt: skip
    detail: dict[str, Any] = alice.get("models/thing").json()
    assert (detail["task_id"], detail["bytes"]) == (7, 3)
    (found,) = detail["versions"]
    assert (found["metrics"], found["parameters"]) == ({"accuracy": 0.98}, {"lr": 0.1})
    assert [(e["kind"], e["relation"], e["name"]) for e in found["lineage"]] == [
        ("task", "made_by", "train digits"),
        ("service", "used_by", "front"),
    ]
    refused = alice.delete("models/thing")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "'front'" in refused.json()["message"]


@pytest.mark.parametrize("times", [1, 2])
def test_finishing_twice_changes_nothing(times: int, context: Context) -> None:
    with context.database.store() as store:
        workspace = access.workspace_id(store, "default")
        origin = Origin(owner="alice", workspace_id=workspace)
        record, version = models.begin_version(store, "thing", origin)
        for _ in range(times):
            models.finish_version(store, version, [{"path": "m", "bytes": 3}])
        models.fail_version(store, version, "late", "Too late.")
        found = store.models.get(record.id)
        stored = store.model_versions.get(version.id)
    assert found is not None
    assert stored is not None
    assert (found.state, stored.state) == ("ready", "ready")
    assert found.reason is None


def test_deleting_leaves_nothing(alice: Client, context: Context) -> None:
    made = create(context, alice, "models", "a.bin", b"12345")
    assert alice.delete("models/thing").status_code == 204
    assert not context.files.path("models", made["id"]).exists()
    again = alice.post("models", json={"name": "thing", "upload": send(alice, "a", b"1")})
    assert again.json()["id"] > made["id"]
