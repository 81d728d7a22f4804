"""Names and labels by which everything of an installation is found again in Docker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "kpl."
INSTALLATION = PREFIX + "installation"
WORKLOAD = PREFIX + "workload"
REPLICA = PREFIX + "replica"
ROLE = PREFIX + "role"
# Of containers that look into an image for a moment: they belong to no workload.
LOOK = PREFIX + "look"
# Labels of images have names of their own: containers that anybody starts from one inherit them.
IMAGE_PREFIX = PREFIX + "image."
IMAGE_INSTALLATION = IMAGE_PREFIX + "installation"
IMAGE_DIGEST = IMAGE_PREFIX + "digest"
IMAGE_WORKSPACE = IMAGE_PREFIX + "workspace"


class Role(StrEnum):
    """What a container is to its replica."""

    COMMAND = "command"
    RELAY = "relay"
    DOORS = "doors"


@dataclass(frozen=True)
class Address:
    """Which container of which replica."""

    workload: str
    index: int
    role: Role = Role.COMMAND

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> Address | None:
        """Return what labels say; None where they are not ours."""
        try:
            return cls(labels[WORKLOAD], int(labels[REPLICA]), Role(labels[ROLE]))
        except (KeyError, ValueError):
            return None

    def container(self, installation: str) -> str:
        """Return the container's name: below 100 characters, as workloads' names are below 64."""
        end = "" if self.role is Role.COMMAND else f"-{self.role.value}"
        return f"kpl-{installation}-{self.workload}-{self.index}{end}"

    def labels(self, installation: str, own: Mapping[str, str]) -> dict[str, str]:
        """Return the container's labels: those of the workload and where it belongs."""
        return {
            **{PREFIX + key: value for key, value in own.items()},
            INSTALLATION: installation,
            WORKLOAD: self.workload,
            REPLICA: str(self.index),
            ROLE: self.role.value,
        }


def network(installation: str, workload: str = "") -> str:
    """Return the name of an installation's network, or of one of its workloads' own."""
    return f"kpl-{installation}-{workload}" if workload else f"kpl-{installation}"


def image(installation: str, digest: str) -> str:
    """Return the reference of a built environment."""
    return f"kpl-environment/{installation}:{digest}"


def label_query(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the query of the daemon's API for what has all these labels."""
    return {"filters": json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})}
