"""The original clients, installed for the occasion, and ours read what the other writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import ReadOnlyDataset, WriteOnlyDataset, set_size_threshold, writer
from kpl_dataset.record import size_threshold

pytestmark = [pytest.mark.originals, pytest.mark.slow, pytest.mark.timeout(300)]

TYPE: dict[str, Any] = {
    "s": "String", "i": "Int", "f": "Float", "b": "ByteArray", "名": "String", "it's \"x\"": "Int",
    "l": [["Int"]], "m": {"n": [{"x": "Float", "y": "String"}]}, "": "Int", "tab\t\x7f": "Int",
}  # fmt: skip
RECORDS: list[dict[str, Any]] = [
    {},
    {"s": "水果", "i": -1, "f": -0.0, "b": [0, 255], "名": "é", 'it\'s "x"': 2**63 - 1, "": 0},
    {"": 7, "m": {"n": [{"y": "", "x": 1e300}, {}]}, "l": [[1, 2], [], [3]], "f": 3},
    {"l": [], "m": {}, "b": [1] * 300, "s": "a" * 20_000},
    {"m": {"n": []}, "i": -(2**63)},
]
PROPERTIES: dict[str, Any] = {
    "s": "值", "": "", "i": 0, "j": -5, "t": True, "f": 0.0, "z": -0.0, "l": [1, [], {"a": ""}], "d": {}
}  # fmt: skip

# Runs with either client: writes a dataset and prints what its reader gives for it.
PROGRAM = """
import json, sys
from kpl_dataset import *
folder, source, job = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read())
def plain(v):
    if isinstance(v, bytes): return list(v)
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    return [plain(x) for x in v] if isinstance(v, list) else v
def stored(r):
    return {k: bytes(v) if k == "b" else v for k, v in r.items()}
if job["write"]:
    writer = WriteOnlyDataset(folder, "root", job["type"])
    for record in job["records"]:
        writer.write(stored(record))
    if job["properties"]:
        set_size_threshold(100)
        writer.write({"file": source})
        for key, value in job["properties"].items():
            writer.get_meta_db().put(key, value)
    writer.close()
reader = ReadOnlyDataset(folder, None)
properties = {}
if job["properties"]:
    properties = {key: reader.get_meta_db().get(key) for key in reader.get_meta_db().keys()}
print(json.dumps({"records": plain([r for r in reader]), "properties": properties}))
"""


@pytest.fixture(scope="module", params=["0.0.2", "0.0.9"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment with an original client: its version and its Python."""
    folder = tmp_path_factory.mktemp(f"kpl-dataset-{request.param}")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "protobuf==3.20.3"]
    subprocess.run([*install, f"kpl-dataset=={request.param}"], check=True, capture_output=True)
    return request.param, python


def run(python: Path, folder: Path, source: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Run the program in an environment."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", PROGRAM, folder, source],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env={**clean, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_both_write_the_same_bytes_and_read_the_same_values(
    original: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, python = original
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 3)
    full = version != "0.0.2"  # which knows neither files nor properties
    kinds = {**TYPE, "file": "File"} if full else TYPE
    job = {
        "type": kinds, "records": RECORDS, "properties": PROPERTIES if full else {}, "write": True
    }  # fmt: skip
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    expected = run(python, theirs, source, job)

    names = iter(path.name for path in (theirs / "files").glob("*"))
    monkeypatch.setattr(writer, "_new_file_name", lambda: next(names))
    before = size_threshold()
    set_size_threshold(100)
    with WriteOnlyDataset(ours, "root", kinds) as out:
        for record in RECORDS:
            out.write({k: bytes(v) if k == "b" else v for k, v in record.items()})
        if full:
            out.write({"file": str(source)})
            for key, value in PROPERTIES.items():
                out.get_meta_db().put(key, value)
    set_size_threshold(before)

    written = {p.relative_to(theirs): p.read_bytes() for p in theirs.rglob("*") if p.is_file()}
    assert len(written) == (5 if full else 3)
    assert {p.relative_to(ours): p.read_bytes() for p in ours.rglob("*") if p.is_file()} == written
    assert run(python, ours, source, {**job, "write": False}) == expected
    with ReadOnlyDataset(theirs) as reader:
        assert json.loads(json.dumps(list(reader), default=list)) == expected["records"]
        properties = reader.get_meta_db()
        found = {key: properties.get(key) for key in properties}
    assert found == expected["properties"]


def test_a_flushed_index_reads_with_the_original(
    original: tuple[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "ours"
    with WriteOnlyDataset(folder, None, {"x": "Int"}) as out:
        out.write({"x": 1})
        out.flush()
        out.write({"x": 2})
        job = {"write": False, "properties": {}}
        assert run(original[1], folder, tmp_path, job)["records"] == [{"x": 1}]
