"""What becomes of the outputs of tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import WriteOnlyDataset
from kpl_lab.client.unpacking import unpack
from kpl_lab.engines.fake import Script, Stage
from kpl_lab.platform.runtime.lease import Unfenced
from tests.platform.running import CODE, ENVIRONMENT, Site, User


def dataset(folder: Path) -> dict[str, bytes]:
    """Return the files of a KPL dataset of three records."""
    with WriteOnlyDataset(str(folder), "root", {"n": "Int", "s": "String"}) as writer:
        for n in range(3):
            writer.write({"n": n, "s": "x" * 50})
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


async def model(site: Site, alice: User) -> None:
    """Let a first task make the model that infer wants."""
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    await alice.ended(await alice.submit())


async def infer(site: Site, files: dict[str, bytes], **body: Any) -> tuple[User, dict[str, Any]]:
    alice = site.user()
    await model(site, alice)
    site.engine.script = Script(outputs={"out": files})
    inputs = [{"key": "model", "kind": "model", "name": "digits"}]
    done = await alice.ended(await alice.submit(function="infer", inputs=inputs, **body))
    assert done["state"] == "succeeded", done["message"]
    return alice, done["outputs"][0]


async def test_a_kpl_dataset_becomes_a_dataset_version(site: Site, tmp_path: Path) -> None:
    alice, kept = await infer(site, dataset(tmp_path / "d"))
    assert (kept["kind"], kept["name"], kept["version"]) == ("dataset", "digits", 1)
    found = await alice.get("datasets/digits")
    assert (found["state"], found["records"]) == ("ready", 3)


async def test_a_file_whose_name_is_no_text_is_shown_in_ascii_and_downloaded_under_its_name(
    site: Site, tmp_path: Path
) -> None:
    name = os.fsdecode(b"\xff.bin")
    site.engine.script = Script(outputs={"save": {name: b"1", "权重.bin": b"22"}})
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert done["outputs"][0]["version"] == 1, done["outputs"]
    (version,) = (await alice.get("models/digits"))["versions"]
    assert {f["path"]: f["bytes"] for f in version["files"]} == {"\\xff.bin": 1, "权重.bin": 2}
    answer = await alice.http.get("models/digits/versions/1/download")
    unpack(iter([answer.content]), tmp_path / "digits")
    assert (tmp_path / "digits" / name).read_bytes() == b"1"


async def test_a_file_beside_a_dataset_may_have_a_name_that_is_no_text(
    site: Site, tmp_path: Path
) -> None:
    name = os.fsdecode(b"\xff.bin")
    alice, kept = await infer(site, dataset(tmp_path / "d") | {name: b"1"})
    assert (kept["kind"], kept["version"]) == ("dataset", 1)
    (version,) = (await alice.get("datasets/digits"))["versions"]
    assert version["skipped"] == ["\\xff.bin: does not belong to the dataset"]


async def test_other_results_are_kept_as_files(site: Site) -> None:
    alice, kept = await infer(site, {"results.csv": b"a,b\n"})
    assert (kept["kind"], kept["bytes"], kept["message"]) == ("files", 4, None)
    assert (await alice.get("datasets"))["items"] == []


@pytest.mark.parametrize("broken", ["index", "meta", "data", "middle"])
async def test_a_broken_dataset_is_kept_as_files_with_the_reason(
    site: Site, tmp_path: Path, broken: str
) -> None:
    files = dataset(tmp_path / "d")
    if broken == "middle":
        data = files["root.data"]
        files["root.data"] = data[:70] + b"\xff" * 20 + data[90:]
    else:
        files[f"root.{broken}"] = files[f"root.{broken}"][:3]
    alice, kept = await infer(site, files)
    assert kept["kind"] == "files"
    assert "not a whole KPL dataset" in kept["message"]
    assert (await alice.get("datasets"))["items"] == []


async def test_an_output_that_shall_be_a_dataset_and_is_none_is_kept_as_files(site: Site) -> None:
    save_as = [{"output": "out", "kind": "dataset", "name": "wanted"}]
    alice, kept = await infer(site, {"readme.txt": b"no"}, save_as=save_as)
    assert kept["kind"] == "files"
    assert kept["message"]
    assert (await alice.get("datasets"))["items"] == []


async def test_an_output_that_is_empty_says_so_and_makes_nothing(site: Site) -> None:
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert done["state"] == "succeeded"
    assert "wrote nothing" in done["outputs"][0]["message"]
    assert (await alice.get("models"))["items"] == []


async def test_each_success_is_the_next_version(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    alice = site.user()
    for number in (1, 2):
        done = await alice.ended(await alice.submit())
        assert done["outputs"][0]["version"] == number


async def test_save_as_names_the_model(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    alice = site.user()
    save_as = [{"output": "save", "kind": "model", "name": "我的 model"}]
    done = await alice.ended(await alice.submit(save_as=save_as))
    assert done["outputs"][0]["name"] == "我的 model"
    assert (await alice.get("models/我的 model"))["version"] == 1


async def test_an_output_that_is_not_declared_is_refused(site: Site) -> None:
    alice = site.user()
    body = {
        "upload": await alice.code(),
        "save_as": [{"output": "sav", "kind": "model", "name": "m"}],
    }
    answer = await alice.http.post("tasks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_output")
    assert "declares: save" in answer.text


async def test_further_outputs_have_names_of_their_own(site: Site) -> None:
    two = ENVIRONMENT.replace("{key: save, name: model}", "{key: save, name: m}, {key: b, name: b}")
    site.engine.script = Script(outputs={"save": {"m": b"1"}, "b": {"m": b"2"}})
    alice = site.user()
    done = await alice.ended(await alice.submit({**CODE, "environment.yml": two}))
    assert [o["name"] for o in done["outputs"]] == ["digits", "digits-b"]


async def test_two_outputs_saved_as_one_model_are_two_versions(site: Site) -> None:
    two = ENVIRONMENT.replace("{key: save, name: model}", "{key: save, name: m}, {key: b, name: b}")
    site.engine.script = Script(outputs={"save": {"m": b"1"}, "b": {"m": b"2"}})
    alice = site.user()
    save_as = [{"output": key, "kind": "model", "name": "same"} for key in ("save", "b")]
    done = await alice.ended(await alice.submit({**CODE, "environment.yml": two}, save_as=save_as))
    assert [o["version"] for o in done["outputs"]] == [1, 2]


async def test_what_cannot_be_collected_is_told_and_the_task_still_ends(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    site.engine.fail_at.add(Stage.COLLECT)
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert done["state"] == "succeeded"
    assert "told to fail at collect" in done["outputs"][0]["message"]


async def test_lineage_names_algorithm_and_inputs_with_their_versions(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}, "out": {"x.bin": b"2"}})
    alice = site.user()
    await alice.ended(await alice.submit())
    upload = await alice.code()
    await alice.post("algorithms", {"name": "rec", "upload": upload})
    await alice.until("algorithms/rec", "ready")
    task = await alice.post(
        "tasks",
        {
            "algorithm": "rec",
            "function": "infer",
            "inputs": [{"key": "model", "kind": "model", "name": "digits"}],
            "save_as": [{"output": "out", "kind": "model", "name": "second"}],
        },
    )
    assert (await alice.ended(task))["state"] == "succeeded"
    version = (await alice.get("models/second"))["versions"][0]
    links = {(x["kind"], x["relation"]): (x["name"], x["version"]) for x in version["lineage"]}
    assert links["algorithm", "code"] == ("rec", 1)
    assert links["model", "input"] == ("digits", 1)


async def test_what_an_interrupted_try_has_left_is_removed(site: Site) -> None:
    incoming = site.context.files.path("incoming")
    ours, others = incoming / "task-1-save-dataset", incoming / "task-10-save"
    for folder in (ours, others):
        folder.mkdir(parents=True)
        (folder / "a").write_text("a")
    await model(site, site.user())
    assert [path.name for path in incoming.iterdir()] == ["task-10-save"]


async def test_two_controllers_put_things_together_in_places_of_their_own(site: Site) -> None:
    class Second(Unfenced):
        epoch = 2

    world = site.controller.world
    other = replace(world, fence=Second())
    assert other.incoming("task-1-save") != world.incoming("task-1-save")
    assert other.incoming("task-1-save").name.startswith("task-1-save-")
