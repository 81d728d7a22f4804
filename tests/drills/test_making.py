"""Platform and controller are killed while an import, a build or the keeping of outputs goes on."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import ReadOnlyDataset
from tests.drills.lab import Lab, wait_closely, write_code
from tests.installation import wait_for

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(90)]

MB = 1_000_000
PARTS = ("controller", "platform")
# What was not finished is found at the next look of the controller, every five seconds.
TIDY_SECONDS = 20.0

BUILD_YML = """
    version: 1
    image:
      from_image: "python:3.11"
      runs:
        - sleep 3
        - echo built >> "$VIRTUAL_ENV/count"
    train: {cmd: python3 train.py}
"""
OUTPUTS_YML = """
    version: 1
    image: {from_image: "python:3.11"}
    train:
      resource: {limits: {cpu: 1, memory: 512}}
      outputs:
        - {key: net, name: A model, kind: model}
        - {key: data, name: A dataset, kind: dataset}
      cmd: python3 train.py
"""
OUTPUTS = """
    import os
    from pathlib import Path

    import kpl_helper
    from kpl_dataset import BasicType, WriteOnlyDataset

    kpl_helper.ready()
    net = Path(kpl_helper.get_output_path("net"))
    net.mkdir(parents=True, exist_ok=True)
    (net / "weights").write_bytes(os.urandom(50_000_000))
    kinds = {"name": BasicType.String, "content": BasicType.ByteArray}
    with WriteOnlyDataset(kpl_helper.get_output_path("data"), "root", kinds) as writer:
        for number in range(50):
            writer.write({"name": str(number), "content": os.urandom(1_000_000)})
    kpl_helper.done()
"""


def kill_both(lab: Lab, chance: random.Random) -> None:
    """Kill controller and platform, in whatever order, somewhere in the work that has begun."""
    first, second = chance.sample(PARTS, 2)
    lab.pause(chance.uniform(0, 0.3))
    gone = lab.kill(first)
    lab.pause(chance.uniform(0, 0.5))
    lab.kill_and_wait(second)
    lab.wait_back(first, gone)


def finish(client: subprocess.Popen[str]) -> None:
    """Wait for a ``kpl`` that went through it all; it has to succeed."""
    _, said = client.communicate(timeout=60)
    assert (client.returncode, said) == (0, "")


@pytest.fixture(autouse=True)
def nothing_is_left(lab: Lab) -> Iterator[None]:
    """Nothing that was only needed on the way stays."""
    before = lab.stored("uploads")  # of drills that give an upload up; kept for days, to go on
    yield
    wait_for(lambda: not lab.stored("incoming"), "nothing in incoming", TIDY_SECONDS)
    wait_for(lambda: lab.stored("uploads") <= before, "no new upload", TIDY_SECONDS)


def only_version(lab: Lab, kind: str, name: str) -> Any:
    """Return the one version of a thing, which is whole and lies alone in its folder."""
    found = lab.kpl(kind, "show", name)
    assert found["state"] == "ready"
    assert [(one["number"], one["state"]) for one in found["versions"]] == [(1, "ready")]
    if kind != "algorithm":
        assert lab.stored(f"{kind}s", str(found["id"])) == {"1"}
    return found


def write_pictures(folder: Path) -> int:
    """Write 40 MB in many files, so that reading them takes a while; return how many."""
    lots = random.Random(1)
    count = 2000
    for number in range(count):
        path = folder / f"{number % 10}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lots.randbytes(20_000))
    return count


def test_an_import_ends_ready_once(lab: Lab, chance: random.Random, tmp_path: Path) -> None:
    count = write_pictures(tmp_path / "many")
    words = ("dataset", "create", "imported", "--from", str(tmp_path / "many"), "--json")
    before = lab.stored("datasets")
    with lab.installation.start("kpl", *words) as client:
        wait_closely(lambda: any("-work" in n for n in lab.stored("incoming")), "the import")
        kill_both(lab, chance)
        finish(client)
    found = only_version(lab, "dataset", "imported")
    assert found["records"] == count
    assert lab.stored("datasets") - before == {str(found["id"])}


def test_a_build_ends_ready_once(lab: Lab, chance: random.Random, tmp_path: Path) -> None:
    code = write_code(tmp_path / "built", BUILD_YML, train="print('hello')")
    before = lab.local("environments")
    with lab.installation.start("kpl", "algorithm", "publish", str(code), "--json") as client:
        wait_closely(lambda: lab.workloads("build-"), "the build")
        kill_both(lab, chance)
        finish(client)
    only_version(lab, "algorithm", "built")
    (made,) = lab.local("environments") - before
    place = lab.home.local / "environments" / made
    assert (place / ".kpl-environment.json").is_file()
    assert (place / "count").read_text() == "built\n"
    wait_for(lambda: not lab.workloads("build-"), "the build to be forgotten", TIDY_SECONDS)


@pytest.mark.parametrize("output", ["net", "data"])
def test_outputs_become_one_version_each(
    lab: Lab, chance: random.Random, tmp_path: Path, output: str
) -> None:
    code = write_code(tmp_path / "makes", OUTPUTS_YML, train=OUTPUTS)
    net, data = f"net-of-{output}", f"data-of-{output}"
    words = ("--save-as", f"net=model:{net}", "--save-as", f"data=dataset:{data}")
    task = lab.kpl("task", "submit", "--code", str(code), *words)
    sign = f"task-{task['id']}-{output}"
    wait_closely(lambda: any(n.startswith(sign) for n in lab.stored("incoming")), sign)
    kill_both(lab, chance)
    ended = lab.wait_task(task["id"], lambda found: found["finished_at"], "the task to end")
    assert (ended["state"], ended["attempt"]) == ("succeeded", 1)
    kept = {one["key"]: (one["name"], one["version"]) for one in ended["outputs"]}
    assert kept == {"net": (net, 1), "data": (data, 1)}
    model = only_version(lab, "model", net)
    weights = lab.installation.home / "storage" / "models" / str(model["id"]) / "1" / "weights"
    assert weights.stat().st_size == 50 * MB
    dataset = only_version(lab, "dataset", data)
    with ReadOnlyDataset(
        lab.installation.home / "storage" / "datasets" / str(dataset["id"]) / "1"
    ) as reader:
        assert [record["name"] for record in reader] == [str(number) for number in range(50)]
    wait_for(lambda: not lab.workloads("task-"), "the task to be forgotten", TIDY_SECONDS)
