"""What an installation on a cluster is told by variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClusterSettings:
    """What the Kubernetes engine is told by variables; empty: its own options decide.

    Attributes
    ----------
    kubeconfig
        ``KUBECONFIG``.
    connect_host
        ``KPL_CONNECT_HOST``: how pods reach this machine.
    image, pull_policy
        ``KPL_IMAGE``, ``KPL_IMAGE_PULL_POLICY``: the platform's own image, and when nodes pull.
    registry
        ``KPL_REGISTRY``: where built images go.
    builder_image
        ``KPL_BUILDER_IMAGE``: what builds them.
    insecure_registries
        ``KPL_INSECURE_REGISTRIES``: which registries builds ask over plain HTTP, apart by spaces or
        commas.
    """

    kubeconfig: str = ""
    connect_host: str = ""
    image: str = ""
    pull_policy: str = ""
    registry: str = ""
    builder_image: str = ""
    insecure_registries: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        """Return the variables that say the same."""
        found = {
            "KUBECONFIG": self.kubeconfig,
            "KPL_CONNECT_HOST": self.connect_host,
            "KPL_IMAGE": self.image,
            "KPL_IMAGE_PULL_POLICY": self.pull_policy,
            "KPL_REGISTRY": self.registry,
            "KPL_BUILDER_IMAGE": self.builder_image,
            "KPL_INSECURE_REGISTRIES": " ".join(self.insecure_registries),
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ClusterSettings:
        """Return what variables say; paths are made absolute, because processes have other homes."""
        paths = [p for p in (environment.get("KUBECONFIG") or "").split(os.pathsep) if p]
        usual = Path("~/.kube/config").expanduser()
        if not paths and usual.is_file():
            paths = [str(usual)]
        return cls(
            kubeconfig=os.pathsep.join(str(Path(p).expanduser().absolute()) for p in paths),
            connect_host=environment.get("KPL_CONNECT_HOST") or "",
            image=environment.get("KPL_IMAGE") or "",
            pull_policy=environment.get("KPL_IMAGE_PULL_POLICY") or "",
            registry=environment.get("KPL_REGISTRY") or "",
            builder_image=environment.get("KPL_BUILDER_IMAGE") or "",
            insecure_registries=tuple(
                (environment.get("KPL_INSECURE_REGISTRIES") or "").replace(",", " ").split()
            ),
        )
