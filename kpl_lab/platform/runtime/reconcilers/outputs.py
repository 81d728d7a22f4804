"""Outputs of ended tasks: kept beside the queue, since large ones take minutes; then it ends."""

from __future__ import annotations

from kpl_lab.errors import StorageFull, Unavailable
from kpl_lab.platform.domain import tasks
from kpl_lab.platform.runtime.outputs import OutputKeeper
from kpl_lab.platform.runtime.reconcilers.tasks import workload_name
from kpl_lab.platform.runtime.world import Key, World


class OutputReconciler:
    """Keeps what ended tasks wrote, and gives them their final state."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outputs = OutputKeeper(world)

    async def reconcile(self, id: int) -> float | None:
        """Keep the outputs of one task whose command has ended; repeatable after a crash."""
        await self._keep(id)
        # Nothing else is done to a task meanwhile: its workload is removed now, or all of it.
        self._world.add(Key("tasks", id))
        return None

    async def _keep(self, id: int) -> None:
        task = await self._world.read(lambda s: s.tasks.get(id))
        if task is None or task.ending is None:
            return
        if task.desired == "delete" or task.state in tasks.FINAL:
            return
        ending = task.ending
        handle = self._world.handle(workload_name(task), task.handle)
        try:
            await self._outputs.keep(task, handle, register=ending["state"] == "succeeded")
        except (Unavailable, StorageFull) as error:
            text = error.message
            await self._world.write(lambda s: tasks.waits_to_end(s, task, text))
            raise  # it is tried again
        await self._world.write(lambda s: tasks.end_as_noted(s, task, ending))
