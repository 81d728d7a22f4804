"""The platform, or the client, is killed in the middle of an upload of 60 MB."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from kpl_dataset import ReadOnlyDataset
from tests.drills.lab import Lab, wait_closely

pytestmark = [pytest.mark.drill, pytest.mark.slow, pytest.mark.timeout(90)]

MB = 1_000_000
FILES, FILE_MB = 6, 10
KILLS = 3
NOT_FOUND = 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upload") / "large"
    folder.mkdir()
    lots = random.Random(0)
    for number in range(FILES):
        (folder / f"{number}.bin").write_bytes(lots.randbytes(FILE_MB * MB))
    return folder


def sums_of_files(folder: Path) -> dict[str, str]:
    return {
        f"{folder.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


def sums_of_dataset(folder: Path) -> dict[str, str]:
    with ReadOnlyDataset(folder) as reader:
        return {record["path"]: hashlib.sha256(record["content"]).hexdigest() for record in reader}


def arrived(lab: Lab, before: set[str]) -> int:
    """Return how many bytes of the upload that began after ``before`` was seen are there."""
    folder = lab.installation.home / "storage" / "uploads"
    fresh = lab.stored("uploads") - before
    try:
        return sum((folder / name).stat().st_size for name in fresh)
    except FileNotFoundError:  # it is whole, and was taken away
        return FILES * FILE_MB * MB


def begin(lab: Lab, name: str, folder: Path) -> subprocess.Popen[str]:
    words = ("dataset", "create", name, "--from", str(folder), "--json")
    return lab.installation.start("kpl", *words)


def assert_whole(lab: Lab, name: str, large: Path, target: Path) -> None:
    found = lab.kpl("dataset", "show", name)
    assert (found["state"], [v["number"] for v in found["versions"]]) == ("ready", [1])
    lab.kpl("dataset", "download", name, "--to", str(target))
    assert sums_of_dataset(target) == sums_of_files(large)


def test_an_upload_goes_on_where_the_killed_platform_left_it(
    lab: Lab, chance: random.Random, large: Path, tmp_path: Path
) -> None:
    before = lab.stored("uploads")
    with begin(lab, "uploaded", large) as client:
        for moment in sorted(chance.sample(range(1, FILES * FILE_MB - 5), KILLS)):
            wait_closely(lambda m=moment: arrived(lab, before) > m * MB, f"{moment} MB")  # type: ignore[misc]
            assert client.poll() is None
            lab.kill_and_wait("platform")
        _, said = client.communicate(timeout=60)
    assert (client.returncode, said) == (0, "")
    assert_whole(lab, "uploaded", large, tmp_path / "back")
    assert lab.stored("uploads") == before


def test_an_upload_that_its_client_left_registers_nothing(
    lab: Lab, chance: random.Random, large: Path, tmp_path: Path
) -> None:
    before = lab.stored("uploads")
    with begin(lab, "left", large) as client:
        moment = chance.randrange(1, FILES * FILE_MB - 5)
        wait_closely(lambda: arrived(lab, before) > moment * MB, f"{moment} MB")
        client.kill()
    assert lab.installation.run("kpl", "dataset", "show", "left").returncode == NOT_FOUND
    with begin(lab, "left", large) as client:
        client.communicate(timeout=60)
    assert client.returncode == 0
    assert_whole(lab, "left", large, tmp_path / "back")
