"""All entries, in the order in which they are tried: special before general."""

from __future__ import annotations

from kpl_lab.platform.domain.faults import (
    clusters,
    commands,
    engine,
    files,
    gpus,
    imports,
    making,
    network,
    packages,
    programs,
    registries,
    resources,
)
from kpl_lab.platform.domain.faults.entry import Fault

AREAS: tuple[tuple[str, tuple[Fault, ...]], ...] = (
    ("Images that are made, loaded and sent", making.FAULTS),
    ("Images, registries and Dockerfiles", registries.FAULTS),
    ("GPUs", gpus.FAULTS),
    ("Memory, disks, processes and crashes", resources.FAULTS),
    ("Installing packages", packages.FAULTS),
    ("Importing packages", imports.FAULTS),
    ("Parameters, inputs, models and data", programs.FAULTS),
    ("Files", files.FAULTS),
    ("Commands", commands.FAULTS),
    ("Networks", network.FAULTS),
    (
        "Whatever says no more than that it failed",
        (
            *resources.ABORTS,
            *registries.GENERAL,
            *packages.GENERAL,
            Fault(
                code="python_exception",
                cause="{file}, line {line}: {what}",
                action="Mend the code at that line; the log has the whole traceback.",
            ),
        ),
    ),
    ("Kubernetes clusters", clusters.FAULTS),
    ("What the engine sees or does", engine.FAULTS),
)

# They name the step of a build that failed, whatever it failed by.
STEPS: tuple[Fault, ...] = (*registries.GENERAL, *packages.GENERAL)
FAULTS: tuple[Fault, ...] = tuple(fault for _, faults in AREAS for fault in faults)
BY_CODE = {fault.code: fault for fault in FAULTS}
# By the engine's own word for it.
BY_ENGINES_CODE = {code: fault for fault in FAULTS for code in fault.codes}
