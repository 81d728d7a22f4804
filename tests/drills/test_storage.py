"""A real installation with its files in a bucket: used, emptied, stopped by the server's death, deleted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_dataset import ReadOnlyDataset, WriteOnlyDataset
from tests.drills.lab import Lab, write_code
from tests.installation import running_installation, wait_for
from tests.object_storage import S3Server

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(300)]

BUCKET = "kpl"
KINDS = ("datasets", "models", "code", "outputs", "logs", "kept")
CODE = """
    version: 1
    image: {from_image: "python:3.11"}
    train:
      resource: {limits: {cpu: 1, memory: 512}}
      inputs: [{key: data, name: data}]
      outputs: [{key: net, name: net, kind: model}]
      cmd: python3 train.py
"""
TRAIN = """
    from pathlib import Path

    import kpl_helper
    from kpl_dataset import ReadOnlyDataset

    kpl_helper.ready()
    with ReadOnlyDataset(kpl_helper.get_input_path("data")) as reader:
        total = sum(record["n"] for record in reader)
    Path(kpl_helper.get_output_path("net"), "weights").write_text(str(total))
    print("the sum is", total)
    kpl_helper.done()
"""


@pytest.fixture(scope="module")
def stored(own_server: S3Server) -> Iterator[Lab]:
    """An installation on a bucket."""
    variables = {**own_server.variables, "KPL_STORAGE_URL": f"s3://{BUCKET}/lab"}
    with running_installation("kpl-stored-", variables=variables) as installation:
        yield Lab(installation)


def forget_folder(lab: Lab) -> None:
    """Lose what a new machine would not have."""
    for kind in KINDS:
        shutil.rmtree(lab.home.storage / kind, ignore_errors=True)


def keys(server: S3Server, kind: str) -> list[str]:
    return [key for key in server.keys(BUCKET) if key.startswith(f"lab/{kind}/")]


def doctor(lab: Lab) -> dict[str, str]:
    done = lab.installation.run("kpl-lab", "doctor", "--json")
    return {
        one["name"]: f"{one['level']}: {one['message']}" for one in json.loads(done.stdout)["items"]
    }


def make_dataset(lab: Lab, folder: Path) -> None:
    with WriteOnlyDataset(str(folder), "root", {"n": "Int"}) as writer:
        for n in range(10):
            writer.write({"n": n})
    assert lab.kpl("dataset", "create", "numbers", "--from", str(folder))["state"] == "ready"


def test_from_a_dataset_to_a_model_and_nothing_is_left(
    stored: Lab, own_server: S3Server, tmp_path: Path
) -> None:
    lab = stored
    make_dataset(lab, tmp_path / "numbers")
    forget_folder(lab)
    code = write_code(tmp_path / "sums", CODE, train=TRAIN)
    words = ("--input", "data=dataset:numbers", "--save-as", "net=model:sums")
    task = lab.kpl("task", "submit", "--code", str(code), *words)
    ended = lab.wait_task(task["id"], lambda found: found["finished_at"], "the task to end")
    assert ended["state"] == "succeeded", ended["message"]
    # No end waits for the bucket: the log is sent a moment later.
    log = f"lab/manifests/logs/tasks/{task['id']}.log.json"
    wait_for(lambda: log in keys(own_server, "manifests"), "the log to be sent", 30)
    forget_folder(lab)
    lab.installation.run("kpl", "model", "download", "sums", "--to", str(tmp_path / "got"))
    assert [p.read_text() for p in tmp_path.glob("got/**/weights")] == ["45"]
    said = lab.installation.run("kpl", "task", "logs", str(task["id"])).stdout
    assert "the sum is 45" in said
    assert doctor(lab)["storage"].startswith("ok: s3://kpl/lab holds everything")
    lab.kpl("task", "delete", str(task["id"]), "--yes")
    lab.kpl("model", "delete", "sums", "--yes")
    lab.kpl("dataset", "delete", "numbers", "--yes")
    wait_for(
        lambda: all(
            "/code/" in key for key in keys(own_server, "trees") + keys(own_server, "manifests")
        ),
        "an empty bucket",
        20,
    )


def test_a_mount_is_filled_from_the_bucket(stored: Lab, tmp_path: Path) -> None:
    lab = stored
    make_dataset(lab, tmp_path / "numbers")
    lab.kpl("server", "start")
    forget_folder(lab)
    assert lab.kpl("dataset", "mount", "numbers")["state"] == "mounted"
    place = lab.installation.home / "storage" / "datasets"
    (folder,) = place.glob("*/1")
    with ReadOnlyDataset(folder) as reader:
        assert len(list(reader)) == 10
    lab.kpl("dataset", "unmount", "numbers")
    lab.kpl("server", "stop")
    lab.kpl("dataset", "delete", "numbers", "--yes")


def test_what_is_wrong_with_the_bucket_is_said_before_anything_starts(
    stored: Lab, own_server: S3Server
) -> None:
    def refused(**variables: str) -> str:
        environment = {**stored.installation.environment, **variables}
        found = subprocess.run(
            ["kpl-lab", "up"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.returncode == 1
        return found.stderr

    assert "does not accept the credentials" in refused(AWS_SECRET_ACCESS_KEY="wrong")
    assert "has no bucket for s3://nobodys" in refused(KPL_STORAGE_URL="s3://nobodys")
    assert "is not a bucket, as in s3://" in refused(KPL_STORAGE_URL="http://kpl")
    assert "does not answer" in refused(AWS_ENDPOINT_URL="http://127.0.0.1:9")
    own_server.client.put_object(
        Bucket=BUCKET, Key="o/kpl-lab.json", Body=b'{"instance": "00000000"}'
    )
    assert "the installation 00000000" in refused(KPL_STORAGE_URL=f"s3://{BUCKET}/o")


def test_while_the_server_is_away_the_platform_works_on_what_it_has(
    stored: Lab, own_server: S3Server, tmp_path: Path
) -> None:
    lab = stored
    make_dataset(lab, tmp_path / "numbers")
    own_server.kill()
    assert doctor(lab)["storage"].startswith(
        "error: The object storage at s3://kpl/lab does not answer"
    )
    assert lab.kpl("dataset", "show", "numbers")["state"] == "ready"
    lab.kpl("server", "start")
    lab.kpl("server", "stop")
    own_server.start()
    own_server.make_bucket(BUCKET)
    wait_for(lambda: doctor(lab)["storage"].startswith("ok"), "everything to be sent", 120)
