"""What users get wrong, through ``kpl``: a sentence that names the cause and the next step."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import pytest

from tests.installation import Installation, wait_for
from tests.walk.conftest import MANIFEST, Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
GOOD = MANIFEST.format(function="train", memory=256)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360"
    "00000002000148afa4710000000049454e44ae426082"
)


@pytest.fixture(scope="module", autouse=True)
def deaf(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A service that never listens; it is given up two minutes later, while the others run."""
    terminal = Terminal(installation, tmp_path_factory.mktemp("deaf"))
    code = terminal.code("deaf", "import time\ntime.sleep(600)\n", function="deploy")
    terminal.done("model", "create", "weights", "--from", terminal.write("w", {"w.bin": "w"}))
    words = ("service", "deploy", "deaf", "--model", "weights", "--code", code)
    made = terminal.done(*words, "--no-wait")
    assert made["state"] == "deploying"
    return "deaf"


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (GOOD.replace("train:", "trian:"), ("line 3", "'trian'", "train")),
        (GOOD.replace("memory:", "memroy:"), ("line 4", "memroy", "memory")),
        (GOOD.replace("version: 1\n", ""), ("version",)),
        (GOOD.replace("cmd: python3 main.py", "inputs: []"), ("cmd",)),
        (GOOD.replace("memory: 256", "memory: lots"), ("line 4", "memory")),
        (GOOD.replace("cpu: 1,", "cpu: 1"), ("line 4",)),
        (GOOD + "\tinfer: x\n", ("line 6",)),
        ("[1, 2]", ("mapping",)),
    ],
    ids=["function", "limit", "version", "cmd", "type", "comma", "tab", "list"],
)
def test_a_wrong_environment_file_is_told_with_file_and_line(
    terminal: Terminal, manifest: str, says: tuple[str, ...]
) -> None:
    code = terminal.write("wrong", {"environment.yml": manifest, "main.py": ""})
    for words in (["task", "submit", "--code", code], ["algorithm", "publish", code]):
        said = terminal.refused(*words)
        assert "environment.yml" in said
        for word in says:
            assert word in said


def test_a_wrong_parameter_file_is_told_with_file_and_line(terminal: Terminal) -> None:
    code = terminal.code("wrong", "")
    (code / "parameter.yml").write_text("epochs: 3\nrate: [1, 2\n")
    said = terminal.refused("task", "submit", "--code", code)
    assert "parameter.yml" in said
    assert "line 2" in said or "line 3" in said


def test_a_parameter_of_another_type_or_none_of_them_is_named(terminal: Terminal) -> None:
    code = terminal.code("typed", "")
    (code / "parameter.yml").write_text("epochs: 3\noptimizer: {rate: 0.1}\n")
    said = terminal.refused("task", "submit", "--code", code, "--param", "epochs=many")
    assert "epochs" in said
    said = terminal.refused("task", "submit", "--code", code, "--param", "optimizer.rat=1")
    assert "optimizer.rat" in said
    assert "optimizer.rate" in said


def test_folders_and_names_that_are_not_there_are_named(terminal: Terminal) -> None:
    missing = terminal.folder / "nowhere"
    for words in (
        ["task", "submit", "--code", missing],
        ["dataset", "create", "d", "--from", missing],
        ["algorithm", "publish", missing],
    ):
        assert "nowhere" in terminal.refused(*words, code=2)
    empty = terminal.write("no manifest", {"main.py": ""})
    assert "environment.yml" in terminal.refused("task", "submit", "--code", empty)
    code = terminal.code("fine", "")
    with (code / "environment.yml").open("a") as manifest:
        manifest.write("  inputs: [{key: data, name: data}]\n")
    said = terminal.refused(
        "task", "submit", "--code", code, "--input", "data=dataset:never", code=4
    )
    assert "never" in said
    said = terminal.refused("task", "submit", "--code", code, "--function", "infer")
    assert "infer" in said
    assert "train" in said


def hostile_tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        entry = tarfile.TarInfo("../../escaped.txt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    return held.getvalue()


def truncated_zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "a" * 100_000)
    return held.getvalue()[:1000]


def bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30):
            archive.writestr(f"{number}.bin", b"\0" * 100_000_000)
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("hostile.tar", hostile_tar(), "escaped.txt"),
        ("cut.zip", truncated_zip(), "cut.zip"),
        ("cut.tar.gz", b"\x1f\x8b\x08\x00 no archive", "cut.tar.gz"),
    ],
)
def test_a_hostile_or_broken_archive_is_refused_and_leaves_nothing(
    terminal: Terminal, installation: Installation, name: str, content: bytes, says: str
) -> None:
    archive = terminal.folder / name
    archive.write_bytes(content)
    dataset = f"from {name}"
    said = terminal.kpl("dataset", "create", dataset, "--from", archive)
    assert said.code == 1, said
    assert says in said.err
    assert not list(installation.home.rglob("escaped.txt"))
    assert terminal.done("dataset", "show", dataset)["state"] == "failed"
    terminal.done("dataset", "delete", dataset, "--yes")


def test_a_bomb_is_not_unpacked(terminal: Terminal) -> None:
    archive = terminal.folder / "bomb.zip"
    archive.write_bytes(bomb())
    said = terminal.kpl("dataset", "create", "bomb", "--from", archive)
    assert said.code == 1, said
    assert "unpacks to more than is allowed" in said.err


def test_an_image_that_is_not_one_is_left_out_and_named(terminal: Terminal) -> None:
    folder = terminal.write(
        "mixed", {"cat/a.png": PIXEL, "cat/b.png": b"no picture", "dog/c.png": PIXEL}
    )
    terminal.done("dataset", "create", "mixed", "--from", folder)
    found = terminal.done("dataset", "show", "mixed")
    assert found["records"] == 2
    assert len(found["versions"][0]["skipped"]) == 1
    assert "cat/b.png" in found["versions"][0]["skipped"][0]
    words = terminal.installation.run("kpl", "dataset", "show", "mixed").stdout
    assert "cat/b.png" in words


def test_an_empty_dataset_is_refused_or_says_so(terminal: Terminal) -> None:
    empty = terminal.folder / "empty"
    empty.mkdir()
    said = terminal.refused("dataset", "create", "empty", "--from", empty)
    assert "empty" in said


@pytest.mark.parametrize("name", ["7", "", " ", "a/b", "..", "x" * 300, "a\nb"])
def test_a_name_that_cannot_be_one_is_refused_with_the_rule(terminal: Terminal, name: str) -> None:
    folder = terminal.write("files", {"a.txt": "a"})
    said = terminal.refused("dataset", "create", name, "--from", folder, code=2)
    assert "name" in said.lower()


def test_any_language_and_spaces_can_stand_in_every_name(terminal: Terminal) -> None:
    name = "水果 détection №1"
    files = {"苹果 1/图 a.png": PIXEL, "pêche/b c.png": PIXEL}
    folder = terminal.write(name, files)
    made = terminal.done("dataset", "create", name, "--from", folder)
    assert made["records"] == 2
    program = (
        "import os, kpl_helper\n"
        "from kpl_dataset import ReadOnlyDataset\n"
        "kpl_helper.ready()\n"
        "seen = sorted(r['class_name'] for r in ReadOnlyDataset(kpl_helper.get_input_path('数 据')))\n"
        "print(seen, kpl_helper.get_parameter())\n"
        "open(kpl_helper.get_output_path('模 型') + '/权 重.bin', 'w').write('x')\n"
        "kpl_helper.done()\n"
    )
    code = terminal.code(f"代码 {name}", program)
    manifest = (code / "environment.yml").read_text()
    (code / "environment.yml").write_text(
        manifest + "  inputs: [{key: 数 据, name: 数据}]\n  outputs: [{key: 模 型, name: 模型}]\n"
    )
    (code / "parameter.yml").write_text("学习 率: 0.1\n")
    task = terminal.done(
        *("task", "submit", "--code", code, "--input", f"数 据=dataset:{name}"),
        *("--name", f"训练 {name}", "--wait"),
    )
    assert task["state"] == "succeeded", task
    model = task["outputs"][0]["name"]
    assert terminal.done("model", "show", model)["state"] == "ready"
    log = terminal.installation.run("kpl", "task", "logs", f"训练 {name}").stdout
    assert "['pêche', '苹果 1']" in log
    target = terminal.folder / "返回"
    terminal.done("model", "download", model, "--to", target)
    assert list(target.rglob("权 重.bin"))


def test_a_dead_platform_is_told_with_exit_code_3(
    terminal: Terminal, installation: Installation
) -> None:
    said = terminal.refused("--url", "http://127.0.0.1:9", "--token", "t", "task", "list", code=3)
    assert "127.0.0.1:9" in said
    assert "kpl-lab up" in said


def test_a_wrong_token_is_told_with_exit_code_5(
    terminal: Terminal, installation: Installation
) -> None:
    said = terminal.refused("--url", installation.url, "--token", "wrong", "task", "list", code=5)
    assert "token" in said


def test_wrong_words_are_told_with_exit_code_2(terminal: Terminal) -> None:
    assert "sumbit" in terminal.refused("task", "sumbit", code=2)
    assert "--code" in terminal.refused("task", "submit", code=2)


def test_a_task_that_ignores_sigterm_is_stopped_all_the_same(terminal: Terminal) -> None:
    code = terminal.code(
        "stubborn",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\nwhile True: time.sleep(1)\n",
    )
    made = terminal.done("task", "submit", "--code", code)
    wait_for(lambda: "up" in log_of(terminal, made["id"]), "the program to run")
    assert terminal.done("task", "stop", made["id"])["state"] == "stopped"


def test_a_task_that_forks_without_end_is_stopped_with_all_of_its_children(
    terminal: Terminal,
) -> None:
    program = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.05)"
    made = terminal.done("task", "submit", "--code", terminal.code("forks", program, memory=512))
    wait_for(lambda: terminal.done("task", "show", made["id"])["state"] != "queued", "its start")
    stopped = terminal.kpl("task", "stop", made["id"])
    assert stopped.code == 0, stopped
    assert terminal.done("version")["version"]


def test_a_million_lines_are_all_there(terminal: Terminal) -> None:
    code = terminal.code("chatty", "for n in range(1_000_000): print(n)\n")
    task = terminal.done("task", "submit", "--code", code, "--wait")
    log = log_of(terminal, task["id"])
    assert log.count("\n") == 1_000_000
    assert log.endswith("\n999999\n")


def test_what_needs_too_much_memory_is_killed_and_says_so(terminal: Terminal) -> None:
    task = terminal.failed(
        "hungry", "held = []\nwhile True: held.append(b'x' * 2**20)\n", memory=64
    )
    assert task["reason"] == "out_of_memory"
    assert "64 MiB" in task["message"]


def test_a_task_that_fails_says_file_line_and_cause(terminal: Terminal) -> None:
    task = terminal.failed("broken", "def learn():\n    return 1 / 0\n\nlearn()\n")
    assert task["reason"] == "python_exception"
    assert "main.py, line 2: ZeroDivisionError" in task["message"]


def test_a_missing_module_and_a_missing_program_are_named(terminal: Terminal) -> None:
    task = terminal.failed("no module", "import torchvission\n")
    assert "torchvission" in task["message"]
    code = terminal.code("no program", "")
    manifest = (code / "environment.yml").read_text().replace("python3 main.py", "pyhton main.py")
    (code / "environment.yml").write_text(manifest)
    said = terminal.kpl("task", "submit", "--code", code, "--wait")
    assert said.code == 1
    assert "pyhton" in said.json["message"]


def test_a_build_that_fails_says_the_line_and_keeps_the_former_version(terminal: Terminal) -> None:
    code = terminal.code("library", "")
    assert terminal.done("algorithm", "publish", code)["version"] == 1
    manifest = (code / "environment.yml").read_text()
    runs = (
        "image:\n  from_image: python:3.11\n  runs:\n    - echo fine\n    - pip install ./nowhere\n"
    )
    (code / "environment.yml").write_text(
        manifest.replace("image: {from_image: python:3.11}\n", runs)
    )
    said = terminal.kpl("algorithm", "publish", code)
    assert said.code == 1, said
    assert "pip install ./nowhere" in said.err
    assert "Line 2 of `image.runs`" in said.err
    found = terminal.done("algorithm", "show", "library")
    assert (found["state"], found["version"]) == ("ready", 1)


def test_what_is_said_with_json_is_one_object_and_nothing_else(terminal: Terminal) -> None:
    for words in (["task", "list"], ["dataset", "list"], ["server", "list"], ["version"]):
        said = terminal.kpl(*words)
        assert isinstance(json.loads(said.out), dict)
        assert said.err == ""


def test_a_service_that_never_listens_says_so(terminal: Terminal, deaf: str) -> None:
    def ended() -> Any:
        found = terminal.done("service", "show", deaf)
        return found if found["state"] == "failed" else None

    found = wait_for(ended, "the service to be given up", 150)
    assert found["reason"] == "never_listened"
    assert "listened on its port" in found["message"]
    assert "PORT" in found["message"]
    said = terminal.refused("service", "call", deaf)
    assert "failed" in said
    terminal.done("service", "delete", deaf, "--yes")


def log_of(terminal: Terminal, id: object) -> str:
    return terminal.installation.run("kpl", "task", "logs", str(id)).stdout
