"""What calls to an API server raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kpl_lab.errors import EngineError, Unavailable

Json = dict[str, Any]


class Refused(EngineError):
    """The API server has said no."""


class Missing(Refused):
    """There is no such object."""


class Clash(Refused):
    """The object is another than the caller thinks, or is there already."""


class Gone(Refused):
    """The history from which to go on is no longer kept: list again."""


class ClusterAway(Unavailable):
    """The API server does not answer, or cannot at the moment; it may come back."""

    default_code = "cluster_unreachable"


@dataclass(frozen=True)
class Call:
    """What was asked of the API server, in the words of RBAC."""

    verb: str
    resource: str
    group: str = ""
    name: str = ""
    namespace: str = ""

    @property
    def what(self) -> str:
        """The object or kind: ``jobs.batch "train"``."""
        full = f"{self.resource}.{self.group}" if self.group else self.resource
        return f'{full} "{self.name}"' if self.name else full

    @property
    def where(self) -> str:
        """Where it is, as the end of a sentence's part."""
        return f"in the namespace {self.namespace}" if self.namespace else "in the whole cluster"
