"""Ways to public services past the platform's own front door, where the engine has such.

The front door knows every service all the same: what the engine does not take goes through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.platform.domain import service_states
from kpl_lab.platform.runtime.frontdoor import (
    ANSWER_WITH,
    ANSWER_WITHOUT,
    REQUEST_WITHOUT,
    path_of,
    shares_of,
)
from kpl_lab.platform.runtime.reconcilers.services import workload_name
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.records.work import ServiceRecord

LOOK_AGAIN_SECONDS = 0.5


def passes(found: Sequence[ServiceRecord], workspaces: Mapping[int, str]) -> dict[int, Route]:
    """Return the ways that services may have, by their ids: of those that anybody may call.

    For any other the front door asks who calls, and it alone answers for one without replicas. It has
    those too whose paths differ in capitals alone: not every controller tells them apart.
    """
    by_run = {service.run_id: workload_name(service) for service in found}
    paths = {
        one.id: path_of(one, workspaces[one.workspace_id])
        for one in found
        if one.service_id is None and not one.is_deleted and one.workspace_id in workspaces
    }
    times = Counter(path.casefold() for path in paths.values())
    wanted = {}
    for service in found:
        path = paths.get(service.id)
        if path is None or service.access != "public" or times[path.casefold()] > 1:
            continue
        shares = {by_run[one.run_id]: one.weight for one in shares_of(service, found)}
        if shares:
            wanted[service.id] = Route(
                name=f"route-{service.id}",
                path=path,
                shares=shares,
                request_without=REQUEST_WITHOUT,
                answer_without=ANSWER_WITHOUT,
                answer_with=ANSWER_WITH,
            )
    return wanted


class PassReconciler:
    """Has the engine lead calls as services want them, and tells services where it does not."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: dict[int, RouteState] = {}

    async def reconcile(self, id: int) -> float | None:
        """Bring all ways to what is wanted."""
        del id
        found, names = await self._world.read(lambda s: (s.services.every(), s.workspaces.names()))
        wanted = passes(found, names)
        told = {one.name: one for one in await self._world.engine.route(list(wanted.values()))}
        states = {id: told[one.name] for id, one in wanted.items() if one.name in told}
        if all(one.is_known for one in states.values()):
            self._world.led = {id: frozenset(one.leads_to) for id, one in states.items()}
        for service in found:
            if service.id in states:
                await self._tell(service, states[service.id])
        self._told = {id: one for id, one in self._told.items() if id in states}
        return None if all(one.is_settled for one in told.values()) else LOOK_AGAIN_SECONDS

    async def _tell(self, service: ServiceRecord, state: RouteState) -> None:
        before = self._told.get(service.id)
        said = None if before is None else (before.is_taken, before.message)
        if state.is_settled and said != (state.is_taken, state.message):
            note = partial(service_states.note_way, service=service, way=state)
            await self._world.write(note)
            self._told[service.id] = state
