"""Datasets, models and algorithms reach the platform; failures are reported or raised."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kpl_helper
from kpl_helper._ignore import IgnoreRules
from kpl_helper.errors import (
    NothingToSaveError,
    NotOnPlatformError,
    PlatformRefusedError,
    PlatformUnreachableError,
    SaveError,
    TooLargeError,
)


def only_upload(platform: Any) -> tuple[str, dict[str, Any]]:
    (request,) = [request for request in platform.requests if "form" in request]
    return request["path"], request["form"]


def members(form: dict[str, Any]) -> dict[str, bytes | None]:
    """Names in the tar of a form, with the content of files."""
    with tarfile.open(fileobj=io.BytesIO(form["file"])) as tar:
        return {info.name: file.read() if (file := tar.extractfile(info)) else None for info in tar}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "水果"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a" * 700)
    (folder / "sub" / ("long" * 60)).write_bytes(b"")
    (folder / "sub" / "b\udce9.bin").write_bytes(b"b" * 512)
    return folder


def test_a_folder_is_packed_under_its_name(platform: Any, as_task: Any, folder: Path) -> None:
    answer = kpl_helper.save_dataset(str(folder), '名"1', "about\nit")
    assert answer == {"id": 5, "name": "saved"}
    path, form = only_upload(platform)
    assert path == "/dataset_fs/upload"
    assert (form["name"], form["description"], form["file_name"]) == (
        '名"1',
        "about\nit",
        "水果.tar",
    )
    assert members(form) == {
        "水果": None,
        "水果/a.txt": b"a" * 700,
        "水果/sub": None,
        "水果/sub/" + "long" * 60: b"",
        "水果/sub/b\udce9.bin": b"b" * 512,
    }
    assert len(form["file"]) % tarfile.RECORDSIZE == 0
    assert platform.requests[0]["headers"]["Authorization"] == "jwt-of-task-7"


def test_the_folder_of_a_dotted_path_keeps_its_name(
    platform: Any, as_task: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "sub")
    kpl_helper.save_model("..", "m", "")
    assert "水果/a.txt" in members(only_upload(platform)[1])


@pytest.mark.parametrize(
    ("name", "save", "route", "packed"),
    [
        ("d.tar.gz", lambda p: kpl_helper.save_dataset(p, "n", "d"), "/dataset_fs/upload", False),
        ("d.zip", lambda p: kpl_helper.save_dataset(p, "n", "d", True), "/dataset/upload", False),
        ("d.csv", lambda p: kpl_helper.save_dataset(p, "n", "d"), "/dataset_fs/upload", True),
        ("m.pt", lambda p: kpl_helper.save_model(p, "n", "d"), "/model/upload", False),
        ("c.tar", lambda p: kpl_helper.save_algorithm(p, "n", "d"), "/algorithm/upload", False),
        ("c.py", lambda p: kpl_helper.save_algorithm(p, "n", "d"), "/algorithm/upload", True),
    ],
)
def test_single_files_are_packed_as_by_the_original(
    platform: Any,
    as_task: Any,
    tmp_path: Path,
    name: str,
    save: Callable[[Path], object],
    route: str,
    packed: bool,
) -> None:
    (tmp_path / name).write_bytes(b"content")
    save(tmp_path / name)
    path, form = only_upload(platform)
    assert path == route
    if packed:
        assert form["file_name"] == f"{name}.tar"
        assert members(form) == {name: b"content"}
    else:
        assert (form["file_name"], form["file"]) == (name, b"content")


def test_links_are_packed_as_what_they_point_to(
    platform: Any, as_task: Any, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"far")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    (tmp_path / "top").symlink_to(folder)
    kpl_helper.save_model(tmp_path / "top", "m", "")
    packed = members(only_upload(platform)[1])
    assert packed["top/link"] == b"far"
    assert not {name for name in packed if name.startswith(("top/broken", "top/pipe", "top/loop/"))}
    assert "broken is left out" in caplog.text
    assert "loop is not followed" in caplog.text


def test_code_leaves_out_what_kplignore_names(platform: Any, as_task: Any, tmp_path: Path) -> None:
    code = tmp_path / "code"
    for name in (
        "train.py",
        ".git/config",
        "__pycache__/x.pyc",
        "lib/__pycache__/y.pyc",
        "lib/.ipynb_checkpoints/z",
        "lib/data.bin",
        "runs/1/log",
        "lib/runs",
    ):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(name)
    (code / ".kplignore").write_text("# big\n*.bin\nruns/\n")
    kpl_helper.save_algorithm(code, "a", "")
    files = {name for name, content in members(only_upload(platform)[1]).items() if content}
    assert files == {"code/train.py", "code/.kplignore", "code/lib/runs"}


@pytest.mark.parametrize(
    ("patterns", "left_out", "kept"),
    [
        (["*.log", "!keep.log"], ["a.log", "x/b.log"], ["keep.log", "x/keep.log", "log"]),
        (["/top"], ["top"], ["x/top"]),
        (["a/b"], ["a/b"], ["x/a/b"]),
        (["**/deep/*.txt"], ["deep/a.txt", "x/y/deep/a.txt"], ["deep/x/a.txt"]),
        (["out/**"], ["out/a", "out/b/c"], ["out", "x/out/a"]),
        (["a/**/z"], ["a/z", "a/b/c/z"], ["z"]),
        (["data?[0-9]", "[!a]x"], ["data_1", "bx"], ["data1", "data_x", "ax"]),
        (["\\#x", "\\!y", " "], ["#x", "!y"], ["x"]),
    ],
)
def test_patterns_of_kplignore(patterns: list[str], left_out: list[str], kept: list[str]) -> None:
    rules = IgnoreRules(patterns)
    assert [name for name in left_out + kept if rules.leaves_out(name, False)] == left_out


def test_code_above_the_limit_is_refused_with_the_biggest_files(
    platform: Any, as_task: Any, folder: Path
) -> None:
    (folder / "weights.bin").write_bytes(bytes(2 * 1024 * 1024))
    as_task(KPL_ENV_CODE_LIMIT_MB="1")
    with pytest.raises(
        TooLargeError, match=r"limit of 1 MB; biggest: 水果/weights\.bin \(2\.0 MB\)"
    ):
        kpl_helper.save_algorithm(folder, "a", "", raise_errors=True)
    assert kpl_helper.save_model(folder, "m", "") == {"id": 5, "name": "saved"}


def test_a_failure_is_reported_on_the_task_and_in_the_log(
    platform: Any, as_task: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kpl_helper.save_model(tmp_path / "nowhere", "m", "") is None
    assert kpl_helper.flush()
    (failure,) = platform.latest("failures")
    assert failure["what"] == "save model m"
    assert "nowhere does not exist" in failure["message"]
    assert "save model m failed" in caplog.text


def test_errors_are_typed_on_request(platform: Any, as_task: Any, folder: Path) -> None:
    as_task(KPL_HELPER_SAVE_SECONDS="0")
    with pytest.raises(NothingToSaveError):
        kpl_helper.save_dataset(folder / "no", "n", "", raise_errors=True)
    platform.misbehaviour += [{"code": "NameTaken", "msg": "that name is taken", "data": None}]
    with pytest.raises(PlatformRefusedError, match="that name is taken") as refused:
        kpl_helper.save_dataset(folder, "n", "", raise_errors=True)
    assert (refused.value.code, refused.value.status) == ("NameTaken", 200)
    platform.stop()
    with pytest.raises(PlatformUnreachableError, match="did not answer"):
        kpl_helper.save_dataset(folder, "n", "", raise_errors=True)
    as_task(KPL_ENV_INTERNAL_API_HOST="nonsense")
    with pytest.raises(NotOnPlatformError, match="'nonsense'"):
        kpl_helper.save_dataset(folder, "n", "", raise_errors=True)


def test_an_upload_is_begun_again_while_the_platform_restarts(
    platform: Any, as_task: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_helper._upload.FIRST_PAUSE", 0.01)
    platform.misbehaviour += [503, 502]
    assert kpl_helper.save_dataset(folder, "n", "") == {"id": 5, "name": "saved"}
    uploads = [request["form"]["file"] for request in platform.requests]
    assert len(uploads) == 3
    assert len(set(uploads)) == 1


def test_an_upload_whose_answer_was_lost_is_not_repeated(
    platform: Any, as_task: Any, folder: Path
) -> None:
    platform.misbehaviour += ["hang up"]
    with pytest.raises(PlatformUnreachableError):
        kpl_helper.save_dataset(folder, "n", "", raise_errors=True)
    assert len(platform.requests) == 1


def test_an_answer_before_the_last_byte_is_heard(
    platform: Any, as_task: Any, tmp_path: Path
) -> None:
    with (tmp_path / "big.zip").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    platform.misbehaviour += ["unread"] * 10
    as_task(KPL_HELPER_SAVE_SECONDS="0")
    # A reset may overtake the answer; either way it is no success.
    with pytest.raises((PlatformRefusedError, PlatformUnreachableError)):
        kpl_helper.save_dataset(tmp_path / "big.zip", "n", "", raise_errors=True)


def test_a_file_that_shrinks_under_way_is_an_error(as_task: Any, folder: Path) -> None:
    from kpl_helper._pack import TarStream

    stream = TarStream(folder)
    (folder / "a.txt").write_bytes(b"short")
    with pytest.raises(SaveError, match="got shorter"):
        b"".join(stream.blocks())


def test_memory_stays_flat_while_a_large_folder_is_sent(
    platform: Any, start: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "large").mkdir()
    with (tmp_path / "large" / "hole.bin").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    platform.keep_uploads = False
    script = start(
        """
import resource, kpl_helper, kpl_helper._upload
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert kpl_helper.save_model("large", "m", "", raise_errors=True)
print("grown by", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, "MB")
"""
    )
    assert script.end() == 0, script.output
    grown = int(script.output.split("grown by ")[1].split()[0])
    assert grown < 30
    assert platform.requests[0]["form"]["length"] > 200 * 1024 * 1024


def test_the_bar_is_drawn_on_a_terminal_alone(
    platform: Any, start: Callable[..., Any], folder: Path
) -> None:
    save = (
        f"import kpl_helper\nkpl_helper.save_model({str(folder)!r}, 'm', '', raise_errors=True)\n"
    )
    script = start(save)
    assert script.end() == 0
    assert "%" not in script.output
    main, terminal = pty.openpty()
    environment = {
        **os.environ,
        "KPL_INNER": "1",
        "KPL_ENV_INTERNAL_API_HOST": platform.url,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "TERM": "xterm",
        "PYTHONIOENCODING": "utf-8",
    }
    subprocess.run([sys.executable, "-c", save], stderr=terminal, env=environment, check=True)
    os.close(terminal)
    assert "100% " in os.read(main, 10_000).decode()
    os.close(main)
