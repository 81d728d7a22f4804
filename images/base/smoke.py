"""What every image must be able to do. Run inside, as an account that the image does not know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 60
PORT = 18888


def check_account() -> None:
    """Nobody is root, and packages can be added."""
    assert os.getuid() != 0
    for name in ("purelib", "scripts", "data"):
        place = Path(sysconfig.get_path(name))
        assert name == "data" or os.access(place, os.W_OK), place


def check_programs() -> None:
    """What people use in a terminal is there, and no key that other copies have too."""
    for name in (
        "curl",
        "git",
        "ssh",
        "tini",
        "kpl",
        "khelper",
        "jupyter",
        "jupyterhub-singleuser",
    ):
        assert shutil.which(name), name
    assert shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert not list(Path("/etc/ssh").glob("ssh_host_*"))
    assert not Path("/build").exists(), "what the build was given is still there"
    subprocess.run(["kpl", "--version"], check=True)


def check_clients(folder: Path) -> None:
    """An algorithm finds its clients; a dataset is written and read."""
    import kpl_helper
    from kpl_dataset import BasicType, ReadOnlyDataset, WriteOnlyDataset

    assert kpl_helper.get_input_path("data", default="here") == "here"
    with WriteOnlyDataset(str(folder), "root", {"name": BasicType.String}) as writer:
        writer.write({"name": "数字"})
    assert [record["name"] for record in ReadOnlyDataset(str(folder))] == ["数字"]


def check_consistency() -> None:
    """No package lacks another one, or wants another version of it."""
    subprocess.run([sys.executable, "-m", "pip", "check"], check=True)


def check_server(folder: Path) -> None:
    """JupyterLab starts with our extension, front and back, and runs a cell."""
    listed = subprocess.run(
        ["jupyter", "labextension", "list"], capture_output=True, text=True, check=True
    )
    assert "kpl-lab" in listed.stdout + listed.stderr, listed
    command = ["jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={PORT}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--IdentityProvider.token=smoke"], cwd=folder, stdout=log, stderr=log
        )
    try:
        call = urllib.request.Request(
            f"http://127.0.0.1:{PORT}/kpl-lab/local/usage", headers={"Authorization": "token smoke"}
        )
        wait_for(f"http://127.0.0.1:{PORT}/api", server, folder / "log")
        try:
            urllib.request.urlopen(call, timeout=5).close()
        except urllib.error.HTTPError as error:
            assert error.code != 404, "JupyterLab has not loaded kpl_lab's server extension"
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert "version" in json.load(answer)
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-2000:]) from None
            time.sleep(0.2)


def check_kernel(folder: Path) -> None:
    """A notebook runs."""
    notebook = folder / "one.ipynb"
    cell = {"cell_type": "code", "source": "print(6 * 7)", "metadata": {}, "outputs": []}
    cell |= {"execution_count": None, "id": "one"}
    notebook.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    subprocess.run(
        ["jupyter", "nbconvert", "--execute", "--to", "notebook", "--inplace", str(notebook)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "42" in notebook.read_text()


def main() -> None:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        check_account()
        check_programs()
        check_consistency()
        (Path(folder) / "data").mkdir()
        check_clients(Path(folder) / "data")
        check_kernel(Path(folder))
        check_server(Path(folder))
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
