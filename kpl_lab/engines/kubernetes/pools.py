"""Where the pods of each resource pool go: the administrator's file beside the engine's options."""

from __future__ import annotations

from dataclasses import replace

from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.errors import EngineError, Invalid, Unavailable
from kpl_lab.formats.pools_yml import FILE, PoolsFile
from kpl_lab.schemas.pools import Pool


class Pools:
    """The shapes of pods by pool; the file is read again when it has changed.

    Parameters
    ----------
    default
        As the engine's options have it: for what is in no pool, and for what a pool leaves out.
    """

    def __init__(self, file: PoolsFile, default: Shape) -> None:
        self._file = file
        self._default = default

    def shape(self, pool: str) -> Shape:
        """Return how the pods of a pool are; of none where it is empty.

        Raises
        ------
        EngineError
            There is no such pool any more.
        Unavailable
            The file is wrong, so nobody knows; tried again later.
        """
        if not pool:
            return self._default
        try:
            pools = self._file.pools
        except Invalid as error:
            raise Unavailable(error.message, code="bad_pools") from error
        if not pools:
            return self._default
        found = next((one for one in pools if one.name == pool), None)
        if found is None:
            raise EngineError(
                f"There is no resource pool {pool!r} in {FILE} any more; submit it to another one.",
                code="no_pool",
            )
        return _shape(self._default, found)

    def all(self) -> dict[str, Shape]:
        """Return the shapes of all pools; none while the file is wrong: who asks says so itself."""
        try:
            return {one.name: _shape(self._default, one) for one in self._file.pools}
        except Invalid:
            return {}

    def queues(self) -> list[str]:
        """Return the cluster's queues that tasks wait in."""
        return sorted({one.queue for one in (self._default, *self.all().values()) if one.queue})


def _shape(default: Shape, pool: Pool) -> Shape:
    place = pool.kubernetes
    return replace(
        default,
        gpu_resource=_own(place.gpu_resource, default.gpu_resource),
        node_selector={**default.node_selector, **place.node_selector},
        tolerations=[*default.tolerations, *place.tolerations],
        runtime_class=_own(place.runtime_class, default.runtime_class),
        priority_class=_own(place.priority_class, default.priority_class),
        queue=_own(place.queue, default.queue),
    )


def _own(given: str | None, default: str) -> str:
    return default if given is None else given
