"""The programs of ``make bench``, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks._common import (
    CLUSTER_HUB,
    DOCKER_HUB,
    FORMATS,
    ORIGINAL_DATASET,
    ORIGINAL_HELPER,
    Environment,
)


@dataclass(frozen=True)
class Program:
    """One program.

    Parameters
    ----------
    module
        Its name, to be run by ``python -m``.
    title
        Heading of its table.
    peers
        Environments of what it compares with, where these are not ours.
    """

    module: str
    title: str
    peers: tuple[Environment, ...] = ()


_DATASETS = (ORIGINAL_DATASET, FORMATS)
PROGRAMS: Mapping[str, Program] = {
    name: Program(f"benchmarks.{name}", title, peers)
    for name, title, peers in (
        ("dataset_read", "KPL records, read in order", _DATASETS),
        ("dataset_random", "KPL records, read at random", _DATASETS),
        ("dataset_write", "KPL records, written", _DATASETS),
        ("push_metric", "Metrics and progress, sent by a program", (ORIGINAL_HELPER,)),
        ("points_stored", "Points of metrics, stored", ()),
        ("task_start", "Tasks on this machine", ()),
        ("server_start", "Notebook servers on this machine", ()),
        ("docker_start", "Tasks and notebook servers on Docker", (DOCKER_HUB,)),
        ("cluster_start", "Notebook servers on Kubernetes", (CLUSTER_HUB,)),
        ("cluster_scale", "A cluster with many users", ()),
        ("service_call", "Calls of services", ()),
    )
}
