"""A home without room: its owner gets in, sees what fills it, and can make room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from kpl_lab.engines.running import fullhome
from tests.engines.harness import LocalBench, end_of, start
from tests.engines.notebooks import NAME, Notebooks, notebook_server

pytestmark = pytest.mark.slow
SIZE_MB = 24


@contextmanager
def disk_at(folder: Path, kind: str) -> Iterator[None]:
    """Make ``folder`` a disk of its own, of the same owner."""
    owner = folder.stat()
    image = folder.parent / "disk.img"
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    if kind == "ext4":
        with image.open("wb") as file:
            file.truncate(SIZE_MB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip(f"no {kind} of one's own can be mounted here")
    try:
        os.chown(folder, owner.st_uid, owner.st_gid)
        folder.chmod(0o700)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        image.unlink(missing_ok=True)


def fill(home: Path) -> None:
    """Write, as the owner, until nothing more fits: large files, and the rest of it."""
    owner = home.stat()
    for name, size in (("data/large.bin", 8), ("second.bin", 4), ("rest.bin", SIZE_MB)):
        path = home / name
        path.parent.mkdir(exist_ok=True)
        try:
            with path.open("wb", buffering=0) as file:
                for _ in range(size << 8):
                    file.write(b"x" * 4096)
        except OSError:
            continue
    for path in (home, *home.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    with pytest.raises(OSError, match="No space left"):
        (home / "one-more").write_bytes(b"x" * 8192)
    (home / "one-more").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
async def test_a_server_starts_in_a_full_home_and_lets_its_owner_make_room(
    root_bench: LocalBench, kind: str
) -> None:
    bench, home = root_bench, root_bench.home / "local/homes/alice"
    # A workload of hers makes the home.
    first = await start(bench.engine, replace(notebook_server(), command=("true",)))
    await end_of(bench.engine, NAME)
    await bench.engine.delete(first)
    (home / "datasets").rmdir()
    with disk_at(home, kind):
        fill(home)
        notebooks = await Notebooks.open(bench, notebook_server())
        usage = await notebooks.usage()
        assert (usage["is_cleaning_up"], usage["is_disk_full"]) == (True, True)

        filling = await notebooks.get("kpl-lab/local/home")
        assert filling["is_full"]
        assert [one["path"] for one in filling["files"]][1:] == ["data/large.bin", "second.bin"]
        assert filling["folders"][0]["path"] == "data"
        assert filling["files"][1]["bytes"] >= 8 << 20

        # Kernels run meanwhile, and the file browser deletes for good.
        kernel = await notebooks.start_kernel("a.ipynb")
        await notebooks.execute(kernel, "import tempfile; tempfile.TemporaryFile().write(b'x')")
        await notebooks.call("DELETE", "api/contents/second.bin")
        await notebooks.call("DELETE", "kpl-lab/local/home", params={"path": "data"})
        assert sorted(path.name for path in home.iterdir() if path.name[0] != ".") in (
            ["datasets", "rest.bin"],
            ["lost+found", "rest.bin"],
        )
        assert not (home / ".local/share/Trash").exists()
        usage = await notebooks.usage()
        assert (usage["is_cleaning_up"], usage["is_disk_full"]) == (True, False)
        note = {"type": "file", "format": "text", "content": "x" * 100_000}
        await notebooks.call("PUT", "api/contents/saved.txt", json=note)
        # The next start is an ordinary one.
        assert fullhome.variables(home, "/tmp") == {}
        await bench.engine.delete(first)


async def test_only_what_is_in_the_home_can_be_deleted(root_bench: LocalBench) -> None:
    bench = root_bench
    notebooks = await Notebooks.open(bench, notebook_server())
    home = bench.home / "local/homes/alice"
    (bench.home / "elsewhere").mkdir(mode=0o777)
    kept = bench.home / "elsewhere/kept"
    kept.touch()
    (home / "link").symlink_to(bench.home / "elsewhere")
    for path in ("", "/", "..", "../bob", "a/../..", "datasets/digits", "link/kept", "nothing/x"):
        with pytest.raises(httpx.HTTPStatusError) as raised:
            await notebooks.call("DELETE", "kpl-lab/local/home", params={"path": path})
        assert raised.value.response.status_code in (404, 422)
    await notebooks.call("DELETE", "kpl-lab/local/home", params={"path": "link"})
    assert kept.exists()
    assert not (home / "link").is_symlink()
    usage = await notebooks.usage()
    assert (usage["is_cleaning_up"], usage["is_disk_full"]) == (False, False)
