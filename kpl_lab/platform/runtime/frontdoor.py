"""The platform's part of the front door: one file that Traefik watches, written whole.

Layout: Traefik's file provider (``http.routers``, ``services``, ``middlewares``). Cookies and the
platform's tokens are taken off before a replica sees the request, and answers may neither set
cookies nor run outside a sandbox: services share the origin of the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from kpl_lab.platform.domain.service_states import CANDIDATE
from kpl_lab.platform.runtime.world import Key, World
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.settings import FRONTDOOR_API_USER, Secret, Settings

FILE = "platform.yml"
PLATFORM = "kpl-platform"
CLOSED = "kpl-closed"
LOOK_AGAIN_SECONDS = 0.02
GIVE_UP_SECONDS = 3.0
NO_REPLICA_PATH = "/kpl/api/v1/internal/no-replica"
NO_SERVICE_PATH = "/kpl/api/v1/internal/no-service"
# What replicas and callers never see of each other, and what browsers do with every answer.
REQUEST_WITHOUT = ("Cookie", "Authorization")
ANSWER_WITHOUT = ("Set-Cookie",)
ANSWER_WITH = {
    "Content-Security-Policy": "sandbox allow-scripts allow-forms",
    "X-Content-Type-Options": "nosniff",
}


def _name(id: int) -> str:
    return f"kpl-svc-{id}"


def path_of(service: ServiceRecord, workspace: str) -> str:
    """Return what the addresses of a service begin with."""
    return f"/svc/{workspace}/{service.name}"


def _rule(prefix: str) -> str:
    # A Go string literal; JSON's escapes are a subset of Go's.
    return f"PathPrefix({json.dumps(prefix, ensure_ascii=False)})"


def _middlewares() -> dict[str, Any]:
    """Return the middlewares that do not depend on a service."""
    return {
        CLOSED: {"ipAllowList": {"sourceRange": ["255.255.255.255/32"]}},
        # A replica that has just died stays in the file for a moment; another one answers then. Only
        # requests of which nothing was sent yet are tried again, so none is done twice.
        "kpl-retry": {"retry": {"attempts": 3, "initialInterval": "50ms"}},
        "kpl-no-replica": {"replacePath": {"path": NO_REPLICA_PATH}},
        "kpl-no-service": {"replacePath": {"path": NO_SERVICE_PATH}},
        "kpl-sandbox": {
            "headers": {
                "customRequestHeaders": dict.fromkeys(REQUEST_WITHOUT, ""),
                "customResponseHeaders": {**dict.fromkeys(ANSWER_WITHOUT, ""), **ANSWER_WITH},
            }
        },
    }


def routes(
    found: Sequence[ServiceRecord], workspaces: Mapping[int, str], platform_url: str
) -> dict[str, Any]:
    """Return the whole dynamic configuration as Traefik reads it."""
    base = platform_url.split("/kpl/")[0]
    routers = _own_routers()
    targets: dict[str, Any] = {PLATFORM: {"loadBalancer": {"servers": [{"url": base}]}}}
    middlewares = _middlewares()
    for service in found:
        workspace = workspaces.get(service.workspace_id)
        if service.is_deleted or service.service_id is not None or workspace is None:
            continue
        name = _name(service.id)
        prefix = path_of(service, workspace)
        shares = shares_of(service, found)
        routers[name] = _router(name, prefix, service.access, has_replicas=bool(shares))
        middlewares[f"{name}-sign-in"] = {
            "forwardAuth": {
                # By id, not by what the caller wrote: the two could be read differently.
                "address": f"{platform_url}/internal/authorize/{service.id}",
                "authRequestHeaders": ["Authorization"],
            }
        }
        if shares:
            middlewares[f"{name}-strip"] = {"stripPrefix": {"prefixes": [prefix]}}
            targets |= _targets(name, shares)
    return {"http": {"routers": routers, "services": targets, "middlewares": middlewares}}


def _own_routers() -> dict[str, Any]:
    """Return the routes of the platform itself."""
    return {
        PLATFORM: {"rule": _rule("/kpl/api"), "service": PLATFORM, "priority": 10_000},
        "kpl-internal": {
            "rule": _rule("/kpl/api/v1/internal"),
            "service": PLATFORM,
            "middlewares": [CLOSED],
            "priority": 20_000,
        },
        # Below every service and above the hub, which would ask a program to sign in.
        "kpl-no-service": {
            "rule": _rule("/svc/"),
            "service": PLATFORM,
            "middlewares": ["kpl-no-service"],
            "priority": 9_000,
        },
    }


def _router(name: str, prefix: str, access: str, *, has_replicas: bool) -> dict[str, Any]:
    chain = [] if access == "public" else [f"{name}-sign-in"]
    chain += ["kpl-sandbox", f"{name}-strip", "kpl-retry"] if has_replicas else ["kpl-no-replica"]
    return {
        "rule": f"{_rule(prefix + '/')} || Path({json.dumps(prefix, ensure_ascii=False)})",
        "service": name if has_replicas else PLATFORM,
        "middlewares": chain,
        "priority": 10_000,
    }


@dataclass(frozen=True)
class Share:
    """What a revision gets of a service's calls: percent, and where its ready replicas are."""

    run_id: int
    weight: int
    addresses: tuple[str, ...]


def shares_of(service: ServiceRecord, found: Sequence[ServiceRecord]) -> list[Share]:
    """Return the revisions that calls go to; one without a ready replica gets none.

    A candidate of weight 0 gets none either, even where nothing else is ready.
    """
    candidates = [s for s in found if s.service_id == service.id and s.role == CANDIDATE]
    weight = sum(s.weight for s in candidates)
    others = [Share(s.run_id, s.weight, tuple(_addresses(s))) for s in candidates]
    called = [share for share in others if share.weight and share.addresses]
    own = Share(service.run_id, 100 - weight if called else 100, tuple(_addresses(service)))
    return [share for share in (own, *called) if share.weight and share.addresses]


def _targets(name: str, shares: Sequence[Share]) -> dict[str, Any]:
    """Return Traefik's services: one load balancer, or two that are weighed against each other."""
    if len(shares) == 1:
        return {name: _balancer(shares[0])}
    parts = {f"{name}-{share.run_id}": share for share in shares}
    weighted = [{"name": part, "weight": share.weight} for part, share in parts.items()]
    balancers = {part: _balancer(share) for part, share in parts.items()}
    return {name: {"weighted": {"services": weighted}}, **balancers}


def _balancer(share: Share) -> dict[str, Any]:
    return {"loadBalancer": {"servers": [{"url": f"http://{one}"} for one in share.addresses]}}


def _addresses(service: ServiceRecord) -> list[str]:
    if not service.is_wanted:
        return []
    ready = (i for i in service.instances if i["state"] == "ready")
    return [str(i["address"]) for i in ready if i.get("address")]


def write(target: Path, configuration: Mapping[str, Any]) -> bool:
    """Replace the file in one step if it says something else; tell whether it did."""
    text = "# Written by the controller; see kpl_lab/platform/runtime/frontdoor.py.\n"
    text += yaml.safe_dump(dict(configuration), allow_unicode=True, sort_keys=True)
    if target.exists() and target.read_text("utf-8") == text:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_text(text, "utf-8")
    fresh.replace(target)
    return True


class RouteReconciler:
    """Keeps the file as the services are."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked_since: dict[int, float] = {}

    async def reconcile(self, id: int) -> float | None:
        """Write the file anew where it differs."""
        del id
        settings = self._world.context.settings
        found, names = await self._world.read(lambda s: (s.services.every(), s.workspaces.names()))
        configuration = routes(found, names, settings.platform_url)
        self._world.fence.check()
        if write(settings.home.frontdoor / "dynamic" / FILE, configuration):
            self._world.add(Key("passes"))
        heads = [service for service in found if service.service_id is None]
        pending = [s for s in heads if not await self._is_taken_up(s, shares_of(s, found))]
        return LOOK_AGAIN_SECONDS if pending else None

    async def _is_taken_up(self, service: ServiceRecord, shares: Sequence[Share]) -> bool:
        """Say whether the front door sends calls where it was told to; tell the service when so.

        One that does not answer is not waited for: it says nothing of the service.
        """
        door, id = self._world.front_door, service.id
        wanted = frozenset(one for share in shares for one in share.addresses)
        # Where a candidate has all calls, the service's own replicas wait for none.
        taken = wanted | frozenset(_addresses(service))
        if door is None or not wanted or self._world.routed.get(id) == taken:
            self._asked_since.pop(id, None)
            if not wanted:
                self._world.routed.pop(id, None)
            return True
        now = self._world.context.clock.monotonic()
        is_late = now - self._asked_since.setdefault(id, now) > GIVE_UP_SECONDS
        if not is_late and not await door.serves(_name(id), wanted):
            return False
        self._world.routed[id] = taken
        self._asked_since.pop(id, None)
        self._world.add(Key("services", id))
        return True


class TraefikApi:
    """What Traefik says of its own routes: ``GET /api/http/services/<name>@file``."""

    def __init__(self, settings: Settings) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{settings.ports.frontdoor_api}",
            auth=(FRONTDOOR_API_USER, settings.home.read_secret(Secret.FRONTDOOR_API)),
            timeout=1.0,
            trust_env=False,
        )

    async def serves(self, name: str, urls: frozenset[str]) -> bool:
        """Say whether requests for a service reach exactly these addresses by now."""
        try:
            return await self._addresses(name) == urls
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    async def _addresses(self, name: str) -> set[str]:
        """Return where a service's calls go, those of weighted parts too."""
        answer = await self._client.get(f"/api/http/services/{name.partition('@')[0]}@file")
        answer.raise_for_status()
        found = answer.json()
        if "weighted" in found:
            parts = [await self._addresses(one["name"]) for one in found["weighted"]["services"]]
            return set().union(*parts)
        return {one["url"].removeprefix("http://") for one in found["loadBalancer"]["servers"]}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
