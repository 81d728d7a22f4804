"""Resource pools: shares of what there is, by kind of node or by who may use them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kpl_lab.schemas.common import Schema


class Amount(Schema):
    """Capacity of one kind; ``limit`` is what may be promised, ``used`` what is."""

    limit: float
    used: float


class Quota(Schema):
    """The most of each kind; null: no limit of this quota's own."""

    cpu: float | None = Field(None, gt=0, description="cores")
    memory: int | None = Field(None, ge=16, description="MiB")
    gpu: int | None = Field(None, ge=0, description="whole GPUs")


class KubernetesPlace(Schema):
    """Where the pods of a pool run; what is left out is as the engine's options have it."""

    gpu_resource: str | None = Field(
        None, description="extended resource that a GPU of the pool is: `amd.com/gpu`, a MIG share"
    )
    node_selector: dict[str, str] = Field(
        {}, description="labels of its nodes, beside the options'"
    )
    tolerations: list[dict[str, Any]] = Field([], description="taints, beside the options'")
    runtime_class: str | None = None
    priority_class: str | None = None
    queue: str | None = Field(None, description="Kueue's LocalQueue that its tasks wait in")


class Pool(Schema):
    """One resource pool, as the administrator's file describes it.

    Without ``users`` and ``groups`` it is shared: everybody may use it. With either it is
    dedicated to them.
    """

    name: str
    title: str
    description: str = ""
    users: list[str] = []
    groups: list[str] = []
    limits: Quota = Quota()
    per_user: Quota = Quota()
    idle_gpu_minutes: float | None = Field(None, ge=0)
    kubernetes: KubernetesPlace = KubernetesPlace()

    def is_for(self, user: str, groups: frozenset[str]) -> bool:
        """Tell whether somebody may use it."""
        is_shared = not self.users and not self.groups
        return is_shared or user in self.users or not groups.isdisjoint(self.groups)


class PoolView(Schema):
    """A pool that the caller may use: what it has, what is promised of it, and of their quota."""

    name: str
    title: str
    description: str
    dedicated: bool
    cpu: Amount = Field(description="cores")
    memory: Amount = Field(description="MiB")
    gpu: Amount = Field(description="whole GPUs")
    quota: dict[str, Amount] = Field(
        description="by kind (cpu, memory, gpu), where each user's share has a limit"
    )
