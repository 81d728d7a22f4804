"""The example project: the same files as a task, in a terminal, as a service and in a notebook."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from kpl_dataset import ReadOnlyDataset
from kpl_lab.client.packing import scan_code
from kpl_lab.formats.environment_yml import read_environment
from kpl_lab.formats.parameter_yml import parameter_schema
from tests.examples.conftest import ROOT, Example

SOURCE = ROOT / "examples" / "digits"


def test_its_files_are_what_the_platform_takes() -> None:
    environment = read_environment(SOURCE)
    assert set(environment.functions) == {"train", "infer", "deploy"}
    assert environment.warnings == ()
    assert scan_code(SOURCE).bytes < 1024 * 1024
    schema = parameter_schema((SOURCE / "parameter.yml").read_text())["properties"]
    assert all(field.get("description") for name, field in schema.items() if name != "network")
    assert all(field["description"] for field in schema["network"]["properties"].values())


def test_in_a_terminal_it_learns_from_the_bundled_digits(digits: Example) -> None:
    said = digits.run("train.py")
    assert "1347 pictures to learn from, 450 to measure with" in said
    accuracy = float(said.split("accuracy ")[-1].split()[0])
    assert accuracy > 0.8
    assert (digits.folder / "output/save/digits.joblib").stat().st_size > 1000
    assert "1797 pictures" in digits.run("infer.py")
    assert "1797 pictures" in digits.run("infer.py")
    with ReadOnlyDataset(str(digits.folder / "output/result")) as records:
        right = sum(record["recognised"] == record["class_name"] for record in records)
    assert right / 1797 > 0.8


def test_pictures_are_written_one_folder_for_each_digit(digits: Example) -> None:
    digits.run("make_dataset.py", "there")
    folders = sorted((digits.folder / "there").iterdir())
    assert [folder.name for folder in folders] == [str(n) for n in range(10)]
    pictures = [path for folder in folders for path in folder.iterdir()]
    assert len(pictures) == 1797
    with Image.open(pictures[0]) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")
        assert picture.getextrema() == (0, 255)


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What the relay beside a task hears, and its address."""
    heard: list[dict[str, Any]] = []

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append({"call": self.path, **json.loads(body)})
            answer = b'{"code": "Success", "msg": "", "data": null}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    server.server_close()
    thread.join()


def task(
    tmp_path: Path, address: str, parameters: dict[str, Any], **inputs: Path
) -> dict[str, str]:
    """Return the variables of a task (runtime contract, section 3)."""
    root = tmp_path / "inputs"
    root.mkdir(exist_ok=True)
    for key, path in inputs.items():
        (root / key).symlink_to(path)
    (tmp_path / "token").write_text("jwt")
    return {
        "KPL_INNER": "1",
        "KPL_ENV": "pipeline",
        "KPL_ENV_INPUT_ROOT_PATH": str(root),
        "KPL_ENV_OUTPUT_ROOT_PATH": str(tmp_path / "outputs"),
        "KPL_ENV_OPTIONAL_INPUTS": json.dumps(["data", "model"]),
        "KPL_ENV_PARAMETER": json.dumps(parameters),
        "KPL_ENV_TASK_ID": "42",
        "KPL_ENV_INTERNAL_API_HOST": address,
        "KPL_METRIC_API": address,
        "KPL_METRIC_TOKEN": "m",
        "KPL_TOKEN_LOCATE": str(tmp_path / "token"),
    }


PARAMETERS = {
    "epochs": 3,
    "test_share": 0.2,
    "seed": 1,
    "network": {"hidden": [16], "learning_rate": 0.01, "batch_size": 20},
}


def test_as_a_task_it_reads_the_dataset_and_tells_curves_and_results(
    digits: Example, dataset: Path, tmp_path: Path, told: tuple[str, list[dict[str, Any]]]
) -> None:
    address, heard = told
    variables = task(tmp_path, address, PARAMETERS, data=dataset)
    said = digits.run("train.py", **variables)
    assert "160 pictures to learn from, 40 to measure with" in said
    assert (tmp_path / "outputs/save/digits.joblib").exists()
    text = json.dumps(heard)
    for word in ("loss", "accuracy", "progress", "scalars"):
        assert word in text
    assert not (digits.folder / "output").exists()


def test_it_goes_on_with_an_earlier_model(
    digits: Example, dataset: Path, tmp_path: Path, told: tuple[str, list[dict[str, Any]]]
) -> None:
    digits.run("train.py")
    model = digits.folder / "output/save"
    variables = task(tmp_path, told[0], {**PARAMETERS, "epochs": 1}, data=dataset, model=model)
    said = digits.run("train.py", **variables)
    # One look at 160 pictures alone would not do that.
    assert float(said.split("accuracy ")[-1].split()[0]) > 0.6


@pytest.fixture
def address(digits: Example) -> Iterator[str]:
    """A running service."""
    digits.run("train.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        digits.command("serve.py"),
        cwd=digits.folder,
        env={**digits.environment, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                assert process.poll() is None, "the service ended by itself"
                assert time.monotonic() < deadline, "the service does not answer"
        yield url
        process.terminate()


def test_the_service_recognises_pictures_however_they_are_sent(
    digits: Example, address: str
) -> None:
    digits.run("make_dataset.py", "there")
    right = 0
    with httpx.Client(base_url=address, trust_env=False) as client:
        for digit in range(10):
            path = min((digits.folder / f"there/{digit}").iterdir())
            content = path.read_bytes()
            raw = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
            form = client.post("/predict", files={"file": ("七.png", content)})
            assert raw.status_code == form.status_code == 200
            assert raw.json() == form.json()
            assert {"type", "height", "width", "depth", "class_id", "class_name", "error"} <= set(
                raw.json()
            )
            assert raw.json()["type"] == "classification"
            right += raw.json()["class_name"] == str(digit)
        assert right >= 8
        assert client.get("/healthz").json()["status"] == "ok"


def test_the_service_says_what_is_wrong(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False) as client:
        bad = client.post("/predict", content=b"no picture")
        assert (bad.status_code, "not a picture" in bad.json()["error"]) == (400, True)
        empty = client.post("/predict", files={"x": (None, "text")})
        assert (empty.status_code, "no file" in empty.json()["error"]) == (400, True)
        assert client.post("/elsewhere", content=b"x").status_code == 404
        assert client.get("/elsewhere").status_code == 404


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(digits: Example) -> None:
    notebook = digits.folder / "digits.ipynb"
    subprocess.run(
        [
            *(digits.command("")[0], "-m", "nbconvert", "--to", "notebook", "--execute"),
            *("--inplace", str(notebook)),
        ],
        cwd=digits.folder,
        env=digits.environment,
        check=True,
        capture_output=True,
    )
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    pictures = [o for c in cells for o in c["outputs"] if "image/png" in o.get("data", {})]
    assert len(pictures) >= 3
