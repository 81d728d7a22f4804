"""An API server in memory behind a real port, with faults; see ``kubernetes_store`` and ``_faults``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.doubles.kubernetes_faults import Cut, Faults
from tests.doubles.kubernetes_logs import Logs
from tests.doubles.kubernetes_paths import APPLY, PLURALS, Target, rights_of, target_of, verb_of
from tests.doubles.kubernetes_selectors import by_fields, by_labels
from tests.doubles.kubernetes_store import KINDS, Change, Json, Refusal, Store

TOKEN = "token-of-the-double"


@dataclass
class Server:
    """The double; open it with :func:`api_server`.

    Attributes
    ----------
    tokens
        What is accepted in the header ``Authorization``.
    calls
        Verb and kind of each request that has come in.
    used
        The rights that these needed, as rules of RBAC name them: verb, group, resource.
    metrics
        What the metrics API says of pods; None: there is no such API.
    watch_seconds
        The longest that a watch may last, whatever is asked for.
    unknown
        Kinds that the server does not have: their definitions are not installed.
    groups
        What it has besides, which nobody asks more of than whether it is there.
    tls
        With it the server speaks HTTPS.
    """

    store: Store = field(default_factory=Store)
    faults: Faults = field(default_factory=Faults)
    logs: Logs = field(default_factory=Logs)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    calls: list[tuple[str, str]] = field(default_factory=list)
    used: set[tuple[str, str, str]] = field(default_factory=set)
    metrics: list[Json] | None = None
    watch_seconds: float = 300.0
    unknown: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.store.admission.append(self.faults.admit)
        self._runner: web.AppRunner | None = None
        self._lists: dict[str, tuple[list[Json], str]] = {}
        self._bookmarks = 0
        self.watching = 0

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; the second time on the same port."""
        app = web.Application(client_max_size=3 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls
        )
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Go away, cutting what is open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, path: Path, *, namespace: str = "kpl-lab", token: str = TOKEN) -> Path:
        """Write a kubeconfig for it."""
        context = {"cluster": "double", "user": "kpl", "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": "kpl", "user": {"token": token}}],
            "contexts": [{"name": "double", "context": context}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def bookmark(self) -> None:
        """Send a bookmark on every watch that wants them."""
        self._bookmarks += 1
        self.store.wake()

    def forget_pages(self) -> None:
        """Let go of the lists whose pages are still being read."""
        self._lists.clear()

    def count(self, verb: str = "", kind: str = "") -> int:
        """Return how many requests of a kind have come in."""
        return sum(v == verb or not verb for v, k in self.calls if kind in ("", k))

    # --- requests

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return _refused(refusal)
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        target = target_of(parts)
        verb = verb_of(request, target)
        rights = rights_of(request, verb, target, self.store.objects)
        self.used |= rights
        if target is not None and target.kind in self.unknown:
            target = None
        kind = target.kind if target else parts[-1]
        self.calls.append((verb, kind))
        if (verb, kind) in self.faults.held:
            await self.faults.held[verb, kind].wait()
        fault = self.faults.check(verb, kind)
        if fault is not None and fault.cut:
            raise Cut
        if fault is not None:
            return _refused(fault.refusal(), fault.retry_after)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if target is None:
            return await self._other(request, parts)
        place = (target.namespace, target.name)
        for right, _, _ in rights:
            self.faults.check_allowed(right, target.kind, place, target.part)
        return await _VERBS[verb](self, request, target)

    async def _other(self, request: web.Request, parts: list[str]) -> web.Response:
        if parts == ["version"]:
            return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
        if parts[0] == "apis" and len(parts) in (2, 3):
            asked = "/".join(parts[1:])
            kinds = {kind for (api, _), kind in PLURALS.items() if asked in (api, *api.split("/"))}
            if kinds - self.unknown or asked in self.groups:
                return web.json_response({"kind": "APIResourceList"})
        if parts[-1] == "selfsubjectaccessreviews":
            review = await request.json()
            right = review["spec"]["resourceAttributes"]
            resource = right["resource"]
            if right.get("subresource"):
                resource += f"/{right['subresource']}"
            allowed = (right["verb"], resource) not in self.faults.forbidden
            return web.json_response({**review, "status": {"allowed": allowed}}, status=201)
        if parts[1] == "metrics.k8s.io":
            self.used.add(("list", "metrics.k8s.io", "pods"))
        if parts[1] == "metrics.k8s.io" and self.metrics is not None:
            matches = by_labels(request.query.get("labelSelector", ""))
            items = [item for item in self.metrics if matches(item)]
            return web.json_response({"kind": "PodMetricsList", "metadata": {}, "items": items})
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.part == "log":
            self.store.get(*target.key)
            return await self.logs.answer(request, target.namespace, target.name)
        return web.json_response(self.store.get(*target.key))

    async def _list(self, request: web.Request, target: Target) -> web.Response:
        query = request.query
        limit = int(query.get("limit") or 0)
        if "continue" in query:
            found = self._lists.pop(query["continue"], None)
            if found is None:
                raise Refusal(410, "Expired", "The provided continue parameter is too old")
            items, version = found
        else:
            wanted = _wanted(query)
            items = [obj for obj in self.store.all(target.kind, target.namespace) if wanted(obj)]
            version = str(self.store.version)
        metadata: Json = {"resourceVersion": version}
        if limit and len(items) > limit:
            metadata["continue"] = uuid.uuid4().hex
            metadata["remainingItemCount"] = len(items) - limit
            self._lists[metadata["continue"]] = (items[limit:], version)
            items = items[:limit]
        # As a real server: what lies in a list does not say what it is.
        bare = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items]
        kind = f"{target.kind}List"
        return web.json_response({"kind": kind, "metadata": metadata, "items": bare})

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        obj = await _body(request, target)
        return web.json_response(self.store.create(obj), status=201)

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        obj = await _body(request, target)
        return web.json_response(self.store.replace(obj, status=target.part == "status"))

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        if request.content_type == APPLY:
            if not request.query.get("fieldManager"):
                raise Refusal(400, "BadRequest", "PatchOptions: fieldManager: Required value")
            return web.json_response(self.store.apply(await _body(request, target)))
        if request.content_type != "application/merge-patch+json":
            raise Refusal(415, "UnsupportedMediaType", f"not {request.content_type}")
        status = target.part == "status"
        return web.json_response(self.store.merge(target.key, await request.json(), status=status))

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        options = await request.json() if request.can_read_body else {}
        return web.json_response(self.store.delete(target.key, options))

    async def _deletecollection(self, request: web.Request, target: Target) -> web.Response:
        options = await request.json() if request.can_read_body else {}
        wanted = _wanted(request.query)
        items = [obj for obj in self.store.all(target.kind, target.namespace) if wanted(obj)]
        for obj in items:
            self.store.delete((target.kind, target.namespace, obj["metadata"]["name"]), options)
        return web.json_response({"kind": f"{target.kind}List", "metadata": {}, "items": items})

    # --- watches

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        seconds = min(float(request.query.get("timeoutSeconds") or 300), self.watch_seconds)
        self.watching += 1
        at = _At(int(request.query.get("resourceVersion") or self.store.version))
        try:
            async with asyncio.timeout(seconds):
                await self._send_changes(request, target, response, at)
        except TimeoutError:
            if "true" in request.query.get("allowWatchBookmarks", "") and not (
                self.faults.silent_end or target.kind in self.faults.deaf
            ):
                await _send(response, "BOOKMARK", _bookmark(target.kind, at))
        except Refusal as refusal:
            await _send(response, "ERROR", refusal.status)
        finally:
            self.watching -= 1
        return response

    async def _send_changes(
        self, request: web.Request, target: Target, response: web.StreamResponse, at: _At
    ) -> None:
        wanted = _wanted(request.query)
        self.store.check_kept(at.version)
        left = self.faults.cut_after.pop(target.kind, None)
        bookmarks = self._bookmarks
        while True:
            changed = self.store.changed
            for change in [] if target.kind in self.faults.deaf else self.store.since(at.version):
                at.version = change.version
                event = _event(change, target, wanted)
                if event is None or (event[0] == "DELETED" and change.key[2] in self.faults.untold):
                    continue
                if left == 0:
                    raise Cut
                left = left - 1 if left is not None else None
                await _send(response, *event)
            if bookmarks != self._bookmarks and target.kind not in self.faults.deaf:
                bookmarks = self._bookmarks
                await _send(response, "BOOKMARK", _bookmark(target.kind, at))
            if left == 0:
                raise Cut
            await changed.wait()


@contextlib.asynccontextmanager
async def api_server(**options: Any) -> AsyncIterator[Server]:
    """Run the double on a free port of the loopback, in the running loop."""
    server = Server(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _wanted(query: Mapping[str, str]) -> Callable[[Json], bool]:
    labels = by_labels(query.get("labelSelector", ""))
    fields = by_fields(query.get("fieldSelector", ""))
    return lambda obj: labels(obj) and fields(obj)


async def _body(request: web.Request, target: Target) -> Json:
    obj: Json = json.loads(await request.read())
    if obj.get("kind") != target.kind or obj.get("apiVersion") != KINDS[target.kind][0]:
        text = f"the object provided is unrecognized (must be of type {target.kind})"
        raise Refusal(400, "BadRequest", text)
    said = obj["metadata"].setdefault("namespace", target.namespace or "default")
    if target.namespace and said != target.namespace:
        text = f"the namespace of the provided object does not match the namespace sent on the request ({said})"
        raise Refusal(400, "BadRequest", text)
    if not KINDS[target.kind][2]:
        del obj["metadata"]["namespace"]
    return obj


def _event(
    change: Change, target: Target, wanted: Callable[[Json], bool]
) -> tuple[str, Json] | None:
    """Return what a change is to somebody who sees only part of the objects."""
    kind, namespace, _ = change.key
    if kind != target.kind or target.namespace not in ("", namespace):
        return None
    before = change.old is not None and wanted(change.old)
    after = change.new is not None and wanted(change.new)
    if after and change.new is not None:
        return ("MODIFIED" if before else "ADDED"), change.new
    if before and change.old is not None:
        version = {"resourceVersion": str(change.version)}
        return "DELETED", {**change.old, "metadata": {**change.old["metadata"], **version}}
    return None


@dataclass
class _At:
    """Up to where a watch has told all; not further, when it ends in between, is its last bookmark."""

    version: int


def _bookmark(kind: str, at: _At) -> Json:
    metadata = {"resourceVersion": str(at.version), "creationTimestamp": None}
    return {"kind": kind, "apiVersion": KINDS[kind][0], "metadata": metadata}


async def _send(response: web.StreamResponse, type_: str, obj: Json) -> None:
    await response.write(json.dumps({"type": type_, "object": obj}).encode() + b"\n")


def _refused(refusal: Refusal, retry_after: str = "") -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.json_response(refusal.status, status=refusal.status["code"], headers=headers)


_VERBS: Mapping[str, Callable[[Server, web.Request, Target], Awaitable[web.StreamResponse]]] = {
    "get": Server._get,
    "list": Server._list,
    "watch": Server._watch,
    "create": Server._create,
    "update": Server._update,
    "patch": Server._patch,
    "delete": Server._delete,
    "deletecollection": Server._deletecollection,
}
