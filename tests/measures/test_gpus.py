"""What is read of GPUs, from texts as nvidia-smi prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.measures.gpus import Gpu, Gpus, chosen, parse

TWO = "0, NVIDIA A100-SXM4-80GB, 34, 12288, 81920\n1, NVIDIA A100-SXM4-80GB, 0, 4, 81920\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0, Tesla T4, 34, 1217, 15360\n", [Gpu(0, "Tesla T4", 34, 1217, 15360)]),
        ("0, NVIDIA H200, [N/A], 600, 143771\n", [Gpu(0, "NVIDIA H200", None, 600, 143771)]),
        (
            "0, GeForce GT 710, [Not Supported], 98, 978\n",
            [Gpu(0, "GeForce GT 710", None, 98, 978)],
        ),
        ('0, "Odd, Name", 1, 2, 3\n', [Gpu(0, "Odd, Name", 1, 2, 3)]),
        ("No devices were found\n", []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", []),
        ("", []),
    ],
)
def test_what_a_driver_does_not_tell_is_none(text: str, found: list[Gpu]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("environment", "which"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,2"}, "0,2"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, "GPU-8932f937"),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "all"}, None),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, ""),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, None),
        ({}, None),
    ],
)
def test_only_what_the_server_was_given_is_asked_for(
    environment: dict[str, str], which: str | None
) -> None:
    assert chosen(environment) == which


def program_in(folder: Path) -> str:
    (folder / "nvidia-smi").write_text("#!/bin/sh\n")
    (folder / "nvidia-smi").chmod(0o755)
    return str(folder)


def test_the_program_is_asked_seldom(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def ask(command: list[str]) -> str:
        asked.append(command)
        return TWO

    gpus = Gpus({"PATH": program_in(tmp_path), "CUDA_VISIBLE_DEVICES": "0,1"}, ask)
    assert [gpu.memory for gpu in gpus.look()] == [12288, 4]
    assert len(gpus.look()) == 2
    assert [command[-2:] for command in asked] == [["-i", "0,1"]]


def test_without_the_program_nothing_is_asked(tmp_path: Path) -> None:
    gpus = Gpus({"PATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0"}, lambda _: TWO)
    assert gpus.look() == []


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 9\n", "no program\n"])
def test_a_program_that_fails_is_as_good_as_none(tmp_path: Path, script: str) -> None:
    path = program_in(tmp_path)
    (tmp_path / "nvidia-smi").write_text(script)
    assert Gpus({"PATH": path, "CUDA_VISIBLE_DEVICES": "0"}).look() == []
