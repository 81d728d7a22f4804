"""Imports: each format as it comes in, what is left out, and what is refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import ReadOnlyDataset, WriteOnlyDataset
from kpl_lab.errors import Invalid, KplError, TooLarge
from kpl_lab.platform import importers
from kpl_lab.platform.domain import imports
from kpl_lab.platform.importers import Job
from tests.platform.conftest import picture, tar_of, zip_of

GOLDEN = Path(__file__).parents[1] / "data" / "kpl-dataset-v1"


def job(folder: Path, source: bytes | Path, filename: str = "data.tar", **values: Any) -> Job:
    if isinstance(source, bytes):
        (folder / "upload").write_bytes(source)
        source = folder / "upload"
    made = Job(
        source=str(source),
        filename=filename,
        format="auto",
        work=str(folder / "work"),
        result=str(folder / "result"),
        total_bytes=100_000_000,
        entries=1000,
        ratio=200,
        memory_mb=2048,
    )
    return replace(made, **values)


def run(made: Job) -> dict[str, Any]:
    told: list[float] = []
    found = importers.run(made, told.append)
    assert told == sorted(told)
    assert not Path(made.work).exists()
    return found


def records(folder: Path) -> list[dict[str, Any]]:
    with ReadOnlyDataset(folder / "result") as reader:
        return list(reader)


CLASSES = {
    "Fruit/pear/1.png": picture("green"),
    "Fruit/pear/2.jpg": picture("yellow", "JPEG"),
    "Fruit/苹果/1.png": picture("red"),
}


class TestImageFolder:
    def test_one_folder_per_class_becomes_a_classification_dataset(self, tmp_path: Path) -> None:
        found = run(job(tmp_path, tar_of(CLASSES), "upload.tar"))
        assert found["format"] == "image-folder"
        assert found["records"] == 3
        assert found["classes"] == [
            {"class_name": "pear", "count": 2},
            {"class_name": "苹果", "count": 1},
        ]
        assert [f["name"] for f in found["fields"]] == [
            "path",
            "content",
            "contentType",
            "class_name",
            "class_id",
        ]
        rows = {r["path"]: r for r in records(tmp_path)}
        assert set(rows) == set(CLASSES)
        pear = rows["Fruit/pear/2.jpg"]
        assert (pear["class_name"], pear["class_id"]) == ("pear", 0)
        assert pear["contentType"] == "image/jpeg"
        assert bytes(pear["content"]) == CLASSES["Fruit/pear/2.jpg"]
        assert rows["Fruit/苹果/1.png"]["class_id"] == 1

    def test_a_folder_packed_without_its_own_name_gets_the_archives(self, tmp_path: Path) -> None:
        flat = {name.removeprefix("Fruit/"): data for name, data in CLASSES.items()}
        run(job(tmp_path, zip_of(flat), "Fruit.zip"))
        assert {r["path"] for r in records(tmp_path)} == set(CLASSES)

    def test_what_is_no_picture_is_left_out_and_told(self, tmp_path: Path) -> None:
        entries: dict[str, bytes | str] = {
            **CLASSES,
            "Fruit/README.md": "about",
            "Fruit/pear/note.txt": "text",
            "Fruit/pear/fake.png": "<svg onload='alert(1)'/>",
            "Fruit/pear/cut.png": picture()[:40],
            "Fruit/pear/.DS_Store": "junk",
            "__MACOSX/Fruit/pear/._1.png": "junk",
        }
        found = run(job(tmp_path, tar_of(entries), format="image-folder"))
        assert found["records"] == 3
        told = dict(line.split(": ", 1) for line in found["skipped"])
        assert set(told) == {
            "Fruit/README.md",
            "Fruit/pear/note.txt",
            "Fruit/pear/fake.png",
            "Fruit/pear/cut.png",
        }
        assert told["Fruit/pear/fake.png"] == "is not a picture"
        assert "broken" in told["Fruit/pear/cut.png"]
        assert "beside" in told["Fruit/README.md"]

    def test_one_class_alone_is_a_class_where_it_is_said(self, tmp_path: Path) -> None:
        only = {"cat/1.png": picture(), "cat/2.png": picture()}
        found = run(job(tmp_path, tar_of(only), format="image-folder"))
        assert found["classes"] == [{"class_name": "cat", "count": 2}]

    @pytest.mark.parametrize(
        ("entries", "code", "says"),
        [
            ({"a.png": picture()}, "no_classes", "one folder per class"),
            ({"a/x.png": "no", "b/y.png": "no"}, "no_pictures", "None of the 2 files"),
        ],
    )
    def test_what_is_none_is_refused(
        self, entries: dict[str, bytes | str], code: str, says: str, tmp_path: Path
    ) -> None:
        with pytest.raises(Invalid, match=says) as caught:
            run(job(tmp_path, tar_of(entries), format="image-folder"))
        assert caught.value.code == code

    def test_a_picture_with_too_many_pixels_is_never_decoded(self, tmp_path: Path) -> None:
        huge = bytearray(picture())
        huge[16:24] = (60_000).to_bytes(4, "big") * 2
        huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
        entries = {**CLASSES, "Fruit/pear/huge.png": bytes(huge)}
        found = run(job(tmp_path, tar_of(entries), format="image-folder"))
        assert found["skipped"] == ["Fruit/pear/huge.png: has more pixels than is safe to open"]

    def test_postscript_is_no_picture_here(self, tmp_path: Path) -> None:
        eps = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
        found = run(
            job(tmp_path, tar_of({**CLASSES, "Fruit/pear/x.eps": eps}), format="image-folder")
        )
        assert found["skipped"] == ["Fruit/pear/x.eps: is not a picture"]


class TestFiles:
    def test_each_file_becomes_a_record_and_keeps_its_root_folder(self, tmp_path: Path) -> None:
        entries = {"Fruit/Annotations/1.xml": "<a/>", "Fruit/JPEGImages/IMG_1.jpg": "j"}
        found = run(job(tmp_path, tar_of(entries)))
        assert (found["format"], found["records"]) == ("files", 2)
        assert records(tmp_path) == [
            {
                "path": "Fruit/Annotations/1.xml",
                "contentType": "application/xml",
                "content": b"<a/>",
            },
            {
                "path": "Fruit/JPEGImages/IMG_1.jpg",
                "contentType": "image/jpeg",
                "content": b"j",
            },
        ]

    def test_a_single_file_is_a_dataset_of_one_record(self, tmp_path: Path) -> None:
        run(job(tmp_path, b"a,b\n1,2\n", "table 1.csv"))
        (row,) = records(tmp_path)
        assert (row["path"], row["content"]) == ("table 1.csv", b"a,b\n1,2\n")

    def test_a_packed_file_is_named_by_itself_alone(self, tmp_path: Path) -> None:
        run(job(tmp_path, tar_of({"table.csv": "1"}), "0f8fad5bd9cb469fa165.tar"))
        assert [r["path"] for r in records(tmp_path)] == ["table.csv"]

    def test_a_zip_of_another_name_stays_one_file(self, tmp_path: Path) -> None:
        run(job(tmp_path, zip_of({"arr_0.npy": "x"}), "arrays.npz"))
        assert [r["path"] for r in records(tmp_path)] == ["arrays.npz"]

    def test_large_files_are_kept_beside_the_records(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(imports, "MAX_INLINE_BYTES", 10)
        found = run(job(tmp_path, tar_of({"d/a": "small", "d/b": "x" * 100})))
        assert {"name": "content", "type": "File"} in found["fields"]
        with ReadOnlyDataset(tmp_path / "result") as reader:
            assert reader.open_file(reader[1]["content"]).read() == b"x" * 100

    @pytest.mark.parametrize("entries", [{}, {"d/.DS_Store": "x"}])
    def test_an_empty_one_is_refused_in_words(
        self, entries: dict[str, bytes | str], tmp_path: Path
    ) -> None:
        with pytest.raises(Invalid, match="no files in what was sent") as caught:
            run(job(tmp_path, tar_of(entries)))
        assert caught.value.code == "empty_dataset"

    def test_what_is_called_an_archive_and_is_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="its content is none"):
            run(job(tmp_path, b"<html>not found</html>", "data.tar.gz"))


class TestKpl:
    @pytest.mark.parametrize("name", ["digits-classification", "digits-detection", "every-type"])
    def test_golden_data_is_taken_as_it_is(self, name: str, tmp_path: Path) -> None:
        folder = GOLDEN / name
        entries: dict[str, bytes | str] = {
            f"wrap/{p.relative_to(folder)}": p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        }
        found = run(job(tmp_path, tar_of(entries)))
        expected = json.loads((GOLDEN / "expected.json").read_text())[name]
        assert (found["format"], found["records"]) == ("kpl", expected["length"])
        stored = {p.relative_to(tmp_path / "result") for p in (tmp_path / "result").rglob("*.*")}
        assert {Path(n).relative_to("wrap") for n in entries if "." in Path(n).name} <= stored
        if name == "digits-classification":
            assert sum(c["count"] for c in found["classes"]) == 300

    def test_objects_are_counted_once_a_record(self, tmp_path: Path) -> None:
        record_type: dict[str, Any] = {"object": [{"name": "String"}]}
        with WriteOnlyDataset(tmp_path / "sent", "root", record_type) as writer:
            writer.write({"object": [{"name": "cat"}, {"name": "cat"}, {"name": "dog"}]})
            writer.write({"object": []})
        found = run(job(tmp_path, tmp_path / "sent"))
        assert found["classes"] == [
            {"class_name": "cat", "count": 1},
            {"class_name": "dog", "count": 1},
        ]

    def test_no_records_are_few_but_no_mistake(self, tmp_path: Path) -> None:
        found = run(job(tmp_path, GOLDEN / "empty"))
        assert found["records"] == 0

    def test_other_files_are_left_out_and_told(self, tmp_path: Path) -> None:
        with WriteOnlyDataset(tmp_path / "sent", "root", {"x": "Int"}) as writer:
            writer.write({"x": 1})
        (tmp_path / "sent" / "notes.txt").write_text("mine")
        found = run(job(tmp_path, tmp_path / "sent"))
        assert found["skipped"] == ["notes.txt: does not belong to the dataset"]

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("root.data", lambda data: data[:-1]),
            ("root.index", lambda data: b""),
            ("root.index", lambda data: data[: len(data) // 2] + b"\xff" * 9),
            ("root.meta", lambda data: b"version: 9\n"),
            ("root.data", lambda data: b"\xff" * len(data)),
        ],
    )
    def test_a_damaged_one_is_refused_before_it_is_stored(
        self, name: str, change: Any, tmp_path: Path
    ) -> None:
        entries: dict[str, bytes | str] = {
            p.name: p.read_bytes() for p in (GOLDEN / "digits-detection").iterdir()
        }
        entries[name] = change(entries[name])
        with pytest.raises(Invalid, match="not a whole KPL dataset"):
            run(job(tmp_path, tar_of(entries), format="kpl"))

    def test_a_path_that_leaves_the_dataset_is_refused(self, tmp_path: Path) -> None:
        outside = tmp_path / "secret"
        outside.write_bytes(b"s" * 2000)
        (tmp_path / "big").write_bytes(b"b" * 2000)
        sent = tmp_path / "sent"
        import kpl_dataset

        kpl_dataset.set_size_threshold(1000)
        try:
            with WriteOnlyDataset(sent, "root", {"f": "File"}) as writer:
                writer.write({"f": tmp_path / "big"})
        finally:
            kpl_dataset.set_size_threshold(50 * 1024 * 1024)
        data = (sent / "root.data").read_bytes()
        (stored,) = (sent / "files").iterdir()
        wanted = f"files/{stored.name}".encode()
        evil = b"../secret".ljust(len(wanted), b"/")
        (sent / "root.data").write_bytes(data.replace(wanted, evil))
        with pytest.raises(Invalid, match="not a whole KPL dataset"):
            run(job(tmp_path, sent))


class TestModels:
    def test_a_file_lies_under_its_own_name(self, tmp_path: Path) -> None:
        packed = zip_of({"data.pkl": "x"})
        found = run(job(tmp_path, packed, "my model.pt", kind="model"))
        assert found["files"] == [{"path": "my model.pt", "bytes": len(packed)}]
        assert (tmp_path / "result" / "my model.pt").read_bytes() == packed

    def test_a_packed_folder_loses_its_one_top_folder(self, tmp_path: Path) -> None:
        entries: dict[str, bytes | str] = {"save/a.bin": "1", "save/sub/b.bin": "22"}
        found = run(job(tmp_path, tar_of(entries), "save.tar", kind="model"))
        assert {f["path"]: f["bytes"] for f in found["files"]} == {"a.bin": 1, "sub/b.bin": 2}

    def test_what_a_mac_adds_does_not_count(self, tmp_path: Path) -> None:
        entries: dict[str, bytes | str] = {"save/a.bin": "1", "__MACOSX/save/._a.bin": "x"}
        found = run(job(tmp_path, zip_of(entries), "save.zip", kind="model"))
        assert [f["path"] for f in found["files"]] == ["a.bin"]

    def test_without_files_there_is_no_model(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="no model in it"):
            run(job(tmp_path, tar_of({}), "save.tar", kind="model"))


def test_results_can_no_longer_be_changed(tmp_path: Path) -> None:
    run(job(tmp_path, tar_of(CLASSES)))
    for path in (tmp_path / "result").rglob("*"):
        assert path.stat().st_mode & 0o222 == 0


def test_a_job_that_was_cut_off_is_done_anew(tmp_path: Path) -> None:
    for name in ("work", "result"):
        (tmp_path / name / "Fruit").mkdir(parents=True)
        (tmp_path / name / "Fruit" / "left over").write_text("x")
    assert run(job(tmp_path, tar_of(CLASSES)))["records"] == 3
    assert not (tmp_path / "result" / "Fruit").exists()


def test_limits_of_archives_hold(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        run(job(tmp_path, tar_of(CLASSES), entries=2))


def process(made: Job) -> tuple[int, list[dict[str, Any]]]:
    """Run a job as the controller does; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "kpl_lab.platform.importers", json.dumps(asdict(made))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


class TestProcess:
    def test_it_tells_progress_and_what_it_found(self, tmp_path: Path) -> None:
        code, said = process(job(tmp_path, tar_of(CLASSES)))
        assert code == 0
        assert said[0] == {"progress": 0.3}
        assert json.loads((tmp_path / "result.json").read_text())["records"] == 3

    def test_it_tells_what_is_wrong(self, tmp_path: Path) -> None:
        code, said = process(job(tmp_path, b"<html>", "a.zip"))
        assert code == 1
        assert said[-1]["error"]["code"] == "bad_archive"
        assert not (tmp_path / "result.json").exists()

    def test_it_tells_when_its_memory_is_not_enough(self, tmp_path: Path) -> None:
        big = bytes(range(256)) * 4 * 1024 * 40
        code, said = process(job(tmp_path, tar_of({"a/big": big}), memory_mb=48))
        assert code == 1
        assert said[-1]["error"]["code"] == "out_of_memory"
        assert "48 MiB" in said[-1]["error"]["message"]


def test_every_error_has_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(KplError) as caught:
        run(job(tmp_path, tar_of({})))
    assert caught.value.message.endswith(".")
