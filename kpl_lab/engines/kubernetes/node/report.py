"""What the agent of a node tells: what is shown in which pod, and what is on its way."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How far a live mount is."""

    FETCHING = "fetching"
    SHOWN = "shown"
    FAILED = "failed"


@dataclass
class Showing:
    """One live mount.

    Attributes
    ----------
    done, total
        Bytes of the version that have come, while it is fetched.
    error
        Why it failed, as a sentence.
    """

    state: State
    version: str
    error: str = ""
    done: int = 0
    total: int = 0


@dataclass
class NodeReport:
    """The present of one node.

    Attributes
    ----------
    heard
        Number of the last order that all of this follows from; 0: none was heard.
    pods
        By UID of the pod and name of the mount.
    cache
        ``bytes``, ``limit``, ``versions``.
    """

    heard: int = 0
    pods: dict[str, dict[str, Showing]] = field(default_factory=dict)
    cache: dict[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def report_of(found: Any) -> NodeReport:  # noqa: ANN401 (JSON of somebody else)
    """Return what :meth:`NodeReport.plain` has made.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        It was made by nothing of the kind.
    """
    return NodeReport(
        heard=int(found["heard"]),
        pods={
            str(uid): {
                str(name): Showing(**{**one, "state": State(one["state"])})
                for name, one in names.items()
            }
            for uid, names in found["pods"].items()
        },
        cache={str(key): int(value) for key, value in found["cache"].items()},
    )
