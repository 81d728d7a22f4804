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


def test_queues_that_nobody_leads_are_a_trouble_with_what_to_do() -> None:
    facts: dict[str, object] = {"version": "v1.36.0", "api": "https://api", "namespace": "lab"}
    facts |= {"gate": "gate:1", "node_agents": None, "dead_queues": ["batch", "lab"]}
    found = {one.name: one for one in doctor._of_cluster(facts)}
    assert found["queues"].level == "error"
    assert "batch, lab" in found["queues"].message
    assert "install Kueue" in found["queues"].message
    assert "queues" not in {one.name for one in doctor._of_cluster(facts | {"dead_queues": []})}


def test_the_address_is_named_that_the_front_door_listens_on(tmp_path: Path) -> None:
    assert said(tmp_path, KPL_LISTEN="0.0.0.0")["ports"].startswith(
        "the front door at 0.0.0.0:PORT"
    )
    assert said(tmp_path)["ports"].startswith("http://127.0.0.1:PORT;")
