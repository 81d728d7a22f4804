"""What ``kpl-lab doctor`` says where the platform itself is in a container of a cluster."""

from __future__ import annotations

from pathlib import Path

from kpl_lab.cli import doctor
from kpl_lab.settings import load
from tests.installation import free_port


def said(tmp_path: Path, **variables: str) -> dict[str, str]:
    port = str(free_port())
    settings = load({"KPL_HOME": str(tmp_path / "h"), "KPL_PORT": port, **variables})
    return {found.name: found.message.replace(port, "PORT") for found in doctor.examine(settings)}


def test_on_a_cluster_workloads_are_kept_apart_by_pods(tmp_path: Path) -> None:
    found = said(tmp_path, KPL_ENGINE="kubernetes")
    assert found["accounts"].endswith("workloads in pods")


def test_the_address_is_named_that_the_front_door_listens_on(tmp_path: Path) -> None:
    assert said(tmp_path, KPL_LISTEN="0.0.0.0")["ports"].startswith(
        "the front door at 0.0.0.0:PORT"
    )
    assert said(tmp_path)["ports"].startswith("http://127.0.0.1:PORT;")
