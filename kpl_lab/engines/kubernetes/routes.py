"""Brings the routes of public services to what is wanted, and tells what has become of them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kpl_lab.engines.kubernetes import names, route_words
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.ledger import Ledger
from kpl_lab.engines.kubernetes.objects import Manifest
from kpl_lab.engines.kubernetes.objects.parts import owner_reference
from kpl_lab.engines.kubernetes.objects.routes import (
    GATEWAY,
    INGRESS,
    KIND_OF,
    Backend,
    RoutePlan,
    RouteShape,
    route_name,
    route_objects,
    route_selector,
)
from kpl_lab.engines.kubernetes.planner import Planner
from kpl_lab.engines.kubernetes.pods import Json, Pods
from kpl_lab.engines.kubernetes.words import ClusterAway, Refused
from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.engines.spec import Kind
from kpl_lab.errors import KplError

log = logging.getLogger(__name__)

POLICY = "NetworkPolicy"
_NOT_FOUND = 404
_PLAIN = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_LIST_SECONDS = 10.0
# A controller that says nothing for so long does not take the route.
_PATIENCE_SECONDS = 15.0
# From a controller's word to its proxies; and where it gives none.
_SETTLE_SECONDS, _BLIND_SECONDS = 2.0, 5.0
# What a controller finds wrong may be that it does not know all objects yet; after that it is wrong.
_DOUBT_SECONDS = 3.0
_AGAIN_SECONDS, _MOST_AGAIN_SECONDS = 300.0, 86400.0


@dataclass
class _Course:
    """One route over time: when it was changed, whom it leads to no more, why it was withdrawn."""

    changed_at: float = 0.0
    leaving: dict[str, float] = field(default_factory=dict)
    is_read: bool = True
    refused: str = ""
    refused_digest: str = ""
    refused_until: float = 0.0
    refusals: int = 0

    def refuse(self, message: str, digest: str) -> None:
        """Note what calls fail by; it is tried again less and less often."""
        self.refused, self.refused_digest = message, digest
        wait = min(_AGAIN_SECONDS * 2**self.refusals, _MOST_AGAIN_SECONDS)
        self.refused_until = time.monotonic() + wait
        self.refusals += 1


class Routes:
    """All routes of an installation.

    Nothing is kept but the course of each: what there is, the cluster says.
    """

    def __init__(self, cluster: Cluster, planner: Planner, ledger: Ledger, pods: Pods) -> None:
        self._cluster, self._planner = cluster, planner
        self._ledger, self._pods = ledger, pods
        fields = [one.name for one in dataclasses.fields(RouteShape)]
        self._shape = RouteShape(**{name: getattr(planner.options, name) for name in fields})
        self._courses: dict[str, _Course] = {}
        self._there: dict[tuple[str, str], Json] = {}
        self._listed_at: float | None = None
        self._sweep_at = 0.0
        self._kept: set[str] = set()  # kinds of which something may be left
        self._said = ""
        self._lock = asyncio.Lock()

    @property
    def _kind(self) -> str:
        return KIND_OF.get(self._shape.routes, "")

    async def bring(self, wanted: Sequence[Route]) -> list[RouteState]:
        """Have exactly these routes; return what has become of each."""
        async with self._lock:
            await self._sweep()
            if not self._kind:
                return []
            try:
                await self._look()
                await self._remove_others(wanted)
                self._said = ""
            except KplError as error:
                # What was not removed leads calls on, perhaps to what not everybody may call any more.
                if error.message != self._said:
                    log.warning("routes of services stay as they were: %s", error.message)
                self._said = error.message
                return [self._troubled(one, error) for one in wanted]
            return [await self._one(route) for route in wanted]

    async def _sweep(self) -> None:
        """Remove, once, what is left of a way that the options no longer want."""
        if time.monotonic() < self._sweep_at:
            return
        unwanted = [kind for kind in KIND_OF.values() if kind != self._kind]
        done = [await self._clear(k) for k in (unwanted if self._kind else (*unwanted, POLICY))]
        self._sweep_at = math.inf if all(done) else time.monotonic() + _LIST_SECONDS

    async def _clear(self, kind: str) -> bool:
        """Remove all routes of a kind; say whether there are none any more."""
        try:
            for one in (await self._cluster.list(kind, self._selector))[0]:
                await self._cluster.delete(kind, one["metadata"]["name"])
        except ClusterAway:
            return False
        except Refused as error:
            if error.detail["status"] == _NOT_FOUND or not await self._is_served(kind):
                return True
            if kind not in self._kept:
                log.warning("routes that are wanted no more may lead calls on: %s", error.message)
            self._kept.add(kind)
            return False
        return True

    async def _is_served(self, kind: str) -> bool:
        """Say whether the cluster has such objects: who may not see them is told so, where it has none."""
        try:
            return await self._cluster.serves(kind)
        except (ClusterAway, Refused):
            return True

    @property
    def _selector(self) -> str:
        return route_selector(self._planner.installation)

    async def _look(self) -> None:
        """Read all routes anew, where something is awaited or it was long ago."""
        now = time.monotonic()
        is_awaited = any(not one.is_read or one.leaving for one in self._courses.values())
        if self._listed_at is not None and not is_awaited and now - self._listed_at < _LIST_SECONDS:
            return
        found: dict[tuple[str, str], Json] = {}
        for kind in (self._kind, POLICY):
            for one in (await self._cluster.list(kind, self._selector))[0]:
                found[kind, one["metadata"]["name"]] = one
        self._there, self._listed_at = found, now

    async def _remove_others(self, wanted: Sequence[Route]) -> None:
        mine = {self._name(one) for one in wanted}
        for kind, name in [key for key in self._there if key[1] not in mine]:
            await self._delete(kind, name)
        for name in [one for one in self._courses if one not in mine]:
            del self._courses[name]

    def _name(self, route: Route) -> str:
        return route_name(self._planner.installation, route.name)

    async def _delete(self, kind: str, name: str) -> None:
        if (kind, name) in self._there:
            await self._cluster.delete(kind, name)
            self._there.pop((kind, name), None)

    # --- one route --------------------------------------------------------------------------------

    async def _one(self, route: Route) -> RouteState:
        name = self._name(route)
        course = self._courses.setdefault(name, _Course())
        now = time.monotonic()
        course.leaving = {one: at for one, at in course.leaving.items() if at > now}
        try:
            why = self._why_not(route)
            backends = None if why else self._backends(route)
            if backends is None:
                await self._withdraw(name, course)
                return self._state(route, course, message=why)
            is_so = await self._bring_to(route, backends, course)
            found = await self._judged(route, course)
            return found if is_so else dataclasses.replace(found, is_settled=False)
        except KplError as error:
            return self._troubled(route, error)

    def _why_not(self, route: Route) -> str:
        if _PLAIN.fullmatch(route.path) is None:
            return route_words.cannot_hold(route.path)
        if self._shape.routes == INGRESS and len(route.shares) > 1:
            return route_words.knows_no_weights()
        return ""

    def _backends(self, route: Route) -> tuple[Backend, ...] | None:
        """Return whom a route is to lead to; None while one of them is not known here."""
        found = []
        for workload, weight in route.shares.items():
            entry = self._ledger.entries.get(workload)
            owner = self._pods.object_of(workload, Kind.SERVICE)
            port = None if entry is None else self._planner.port(entry.workload)
            if owner is None or port is None:
                return None
            service = names.object_name(self._planner.installation, workload)
            found.append(
                Backend(
                    workload=workload,
                    service=service,
                    port=port,
                    weight=weight,
                    owner=owner_reference(owner),
                )
            )
        return tuple(found) or None

    async def _bring_to(self, route: Route, backends: tuple[Backend, ...], course: _Course) -> bool:
        """Apply what differs, once each backend has an address that the gateway can know.

        Returns
        -------
        bool
            The cluster has the route as it is wanted, or is not to have it.
        """
        plan = RoutePlan(
            installation=self._planner.installation,
            namespace=self._planner.namespace,
            route=route,
            backends=backends,
            former=self._former(route, backends, course),
            shape=self._shape,
        )
        manifests = route_objects(plan)
        is_refused = course.refused_digest == _digest(manifests[-1])
        if is_refused and time.monotonic() < course.refused_until:
            await self._withdraw(self._name(route), course)
            return True
        course.refused = course.refused_digest = ""
        is_new = self._differs(manifests[-1])
        if is_new and not await self._all_have_addresses(backends):
            return False
        before = self._leads_to(self._name(route))
        for one in filter(self._differs, manifests):
            key = one["kind"], one["metadata"]["name"]
            self._there[key] = await self._cluster.apply(one)
        if len(manifests) == 1:
            await self._delete(POLICY, self._name(route))
        if is_new:
            self._changed(course, before - {one.workload for one in backends})
        return True

    def _former(self, route: Route, backends: Sequence[Backend], course: _Course) -> dict[str, int]:
        """Return whom calls may still reach by the route as it was, with their ports."""
        named = self._leads_to(self._name(route)) | set(course.leaving)
        entries = [self._ledger.entries.get(one) for one in named - {b.workload for b in backends}]
        ports = {one.name: self._planner.port(one.workload) for one in entries if one is not None}
        return {name: port for name, port in sorted(ports.items()) if port is not None}

    def _differs(self, manifest: Manifest) -> bool:
        there = self._there.get((manifest["kind"], manifest["metadata"]["name"]))
        return there is None or _digest(there) != _digest(manifest)

    async def _all_have_addresses(self, backends: Sequence[Backend]) -> bool:
        """Say whether each Service has an endpoint that is ready: a route to none answers 503."""
        for one in backends:
            slices, _ = await self._cluster.list(
                "EndpointSlice", f"kubernetes.io/service-name={one.service}"
            )
            if not any(_is_ready(end) for piece in slices for end in piece.get("endpoints") or ()):
                return False
        return True

    def _changed(self, course: _Course, gone: set[str]) -> None:
        course.is_read = False
        now = course.changed_at = time.monotonic()
        wait = _PATIENCE_SECONDS if self._shape.routes == GATEWAY else _BLIND_SECONDS
        course.leaving |= dict.fromkeys(gone, now + wait)

    async def _withdraw(self, name: str, course: _Course) -> None:
        before = self._leads_to(name)
        await self._delete(self._kind, name)
        if before:
            now = course.changed_at = time.monotonic()
            course.leaving |= dict.fromkeys(before, now + _BLIND_SECONDS)
        if not course.leaving:  # until then its proxies may call by it
            await self._delete(POLICY, name)
        course.is_read = True

    def _leads_to(self, name: str) -> set[str]:
        """Return whom the route leads to as it is in the cluster."""
        there = self._there.get((self._kind, name))
        annotations = {} if there is None else there["metadata"].get("annotations") or {}
        return set(annotations.get(names.ROUTE_LEADS_TO, "").split())

    # --- what has become of it --------------------------------------------------------------------

    async def _judged(self, route: Route, course: _Course) -> RouteState:
        name, now = self._name(route), time.monotonic()
        there = self._there.get((self._kind, name))
        if there is None:
            return self._state(route, course, message=course.refused)
        if self._shape.routes == INGRESS:
            course.is_read = True
            return self._state(route, course, is_taken=True)
        found = route_words.verdict(there)
        waited = now - course.changed_at
        if found.is_read and not course.is_read:
            soon = now + _SETTLE_SECONDS
            course.leaving = {one: min(at, soon) for one, at in course.leaving.items()}
        course.is_read = found.is_read or waited > _PATIENCE_SECONDS
        if found.is_harmful:
            course.is_read = False
            if waited > _DOUBT_SECONDS:
                course.refuse(found.message, _digest(there))
                await self._withdraw(name, course)
            return self._state(route, course, message=course.refused)
        if found.is_taken and waited > _AGAIN_SECONDS:
            course.refusals = 0
        message = found.message
        if not found.is_read and course.is_read:
            message = f"{message} {await self._unheard(found.unread)}".strip()
        return self._state(route, course, is_taken=found.is_taken, message=message)

    async def _unheard(self, parents: Sequence[Json]) -> str:
        """Return why nobody says anything of a route."""
        missing = []
        for parent in parents:
            there = self._cluster.at(parent.get("namespace") or self._planner.namespace)
            try:
                if await there.get("Gateway", str(parent.get("name"))) is None:
                    missing.append(route_words.gateway_name(parent, self._planner.namespace))
            except Refused:
                continue  # whether it is there we may not know
        return route_words.unheard(parents, self._planner.namespace, missing)

    def _state(
        self, route: Route, course: _Course, *, is_taken: bool = False, message: str = ""
    ) -> RouteState:
        leads = self._leads_to(self._name(route)) | set(course.leaving)
        return RouteState(
            name=route.name,
            is_taken=is_taken,
            leads_to=tuple(sorted(leads)),
            message=message,
            is_settled=course.is_read and not course.leaving,
        )

    def _troubled(self, route: Route, error: KplError) -> RouteState:
        """Say what keeps a route from being made; what was made stays."""
        is_refused = isinstance(error, Refused)
        course = self._courses.setdefault(self._name(route), _Course())
        message = route_words.refused(error, self._kind) if is_refused else ""
        return dataclasses.replace(
            self._state(route, course, message=message),
            is_settled=is_refused,
            is_known=is_refused or self._listed_at is not None,
        )


def _digest(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(names.ROUTE_DIGEST, ""))


def _is_ready(endpoint: Json) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False
