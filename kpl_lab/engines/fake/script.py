"""What workloads of the fake engine do, and where it can be told to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kpl_lab.engines.spec import Cause


class Stage(StrEnum):
    """Where a :class:`FakeEngine` can be told to raise ``EngineError``."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    DELETE = "delete"
    COLLECT = "collect"
    MOUNT = "mount"
    BUILD = "build"


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a workload does.

    Attributes
    ----------
    start_seconds
        From started to running (services and servers: ready).
    run_seconds
        From running to its end; None: until stopped. Services and servers never end by themselves.
    exit_code, cause, detail
        How it ends.
    log
        What each replica prints as soon as it runs.
    outputs
        Files by output key and path below it.
    is_stubborn
        It ignores the polite stop and ends after the grace only.
    """

    start_seconds: float = 0.0
    run_seconds: float | None = 0.0
    exit_code: int = 0
    cause: Cause | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    log: bytes = b""
    outputs: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    is_stubborn: bool = False
