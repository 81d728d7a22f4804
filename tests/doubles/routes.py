"""The HTTP side of the platform in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kpl_lab.errors import BY_STATUS, Conflict, Forbidden, KplError, NotFound, Unauthenticated
from kpl_lab.schemas.algorithms import AlgorithmCreate, AlgorithmDetail, AlgorithmView
from kpl_lab.schemas.builds import BuildCreate, BuildView
from kpl_lab.schemas.common import Problem
from kpl_lab.schemas.datasets import (
    DatasetCreate,
    DatasetDetail,
    DatasetView,
    MountCreate,
    MountView,
    UploadCreate,
    UploadView,
)
from kpl_lab.schemas.models import ModelCreate, ModelDetail, ModelView
from kpl_lab.schemas.servers import Me, VersionView
from kpl_lab.schemas.services import ServiceCreate, ServiceDetail, ServiceUpdate, ServiceView
from kpl_lab.schemas.tasks import LogPage, TaskCreate, TaskDetail, TaskView
from tests.doubles.platform import API, NOW, TOKEN, Platform, Row
from tests.doubles.revisions import Revisions

_VIEWS: dict[str, Any] = {
    "datasets": (DatasetView, DatasetDetail, DatasetCreate),
    "models": (ModelView, ModelDetail, ModelCreate),
    "algorithms": (AlgorithmView, AlgorithmDetail, AlgorithmCreate),
    "tasks": (TaskView, TaskDetail, TaskCreate),
    "services": (ServiceView, ServiceDetail, ServiceCreate),
    "builds": (BuildView, BuildView, BuildCreate),
}


class Routes:
    """The HTTP side of the double."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def app(self) -> Starlette:
        """Return the application; ``/svc`` and ``/hub`` stand for what is behind the front door."""
        everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(
            routes=[
                Route(f"{API}/events", self.stream),
                Route(f"{API}/{{path:path}}", self.api, methods=everything),
                Route("/svc/{path:path}", self.service, methods=everything),
                Route("/hub/api/users/{user}/tokens", self.hub_token, methods=["POST"]),
            ]
        )

    async def api(self, request: Request) -> Response:
        platform = self.platform
        platform.requests.append((request.method, request.url.path.removeprefix(API)))
        platform.headers.append(dict(request.headers))
        try:
            platform.before_request(request)
            if request.headers.get("Authorization") != f"token {TOKEN}":
                raise Unauthenticated("The token is not known here; sign in again.")
            return await self.answer(request, request.path_params["path"].split("/"))
        except KplError as error:
            body = Problem(
                code=error.code, message=error.message, detail=error.detail, request_id="r1"
            )
            status = next(s for s, kind in BY_STATUS.items() if type(error) is kind)
            return Response(body.model_dump_json(), status, media_type="application/problem+json")

    async def answer(self, request: Request, parts: list[str]) -> Response:
        platform = self.platform
        match (request.method, parts):
            case ("GET", ["capacity" | "version" as what]):
                version = VersionView(version="0.1.0", api_version="v1", engine="local")
                return shown(platform.capacity if what == "capacity" else version)
            case ("GET", ["me"]):
                return shown(Me(name=platform.user, admin=False, scopes=[], kind="user"))
            case ("POST", ["uploads"]):
                number = len(platform.uploads) + 1
                platform.uploads[number] = bytearray()
                platform.announced[number] = UploadCreate.model_validate(await request.json())
                return self.upload(number)
            case (method, ["uploads", number, *_]):
                return await self.upload_part(request, method, int(number))
            case ("GET", ["servers"]):
                return listed(platform.servers)
            case (_, ["servers", _, "mounts", *rest]):
                return await self.mount(request, rest)
            case ("GET", [noun]) if noun in _VIEWS:
                return self.listing(request, noun)
            case ("POST", [noun]) if noun in _VIEWS:
                return await self.create(request, noun)
            case (_, [noun, ref, *rest]) if noun in _VIEWS:
                return await self.one(request, noun, ref, rest)
        raise NotFound("There is nothing at this address.")

    def listing(self, request: Request, noun: str) -> Response:
        size, start = int(request.query_params["limit"]), int(request.query_params.get("cursor", 0))
        search = request.query_params.get("search", "")
        rows = [r for r in reversed(self.platform.rows[noun]) if search in r["name"]]
        after = str(start + size) if start + size < len(rows) else None
        view = _VIEWS[noun][0]
        fields = view.model_fields
        items = [
            view.model_validate({k: v for k, v in row.items() if k in fields})
            for row in rows[start : start + size]
        ]
        return listed(items, after)

    async def create(self, request: Request, noun: str) -> Response:
        platform = self.platform
        key = request.headers["Idempotency-Key"]
        body = _VIEWS[noun][2].model_validate(await request.json())
        platform.bodies.append(body)
        if key not in platform.idempotent:
            name = body.name or "train digits"
            made = {"state": "queued" if noun in ("tasks", "builds") else "preparing"}
            if noun == "services":
                made = {"state": "deploying", "replicas": body.replicas}
            row = next((r for r in platform.rows[noun] if r["name"] == name), None)
            if row is None or noun == "tasks":
                row = platform.add(noun, name, **made)
            if "versions" in row:
                number = len(row["versions"]) + 1
                version = {"id": number, "number": number, "state": "preparing", "created_at": NOW}
                row["versions"] = [*row["versions"], version]
            platform.idempotent[key] = row
        row = platform.idempotent[key]
        detail = _VIEWS[noun][1].model_validate(row)
        return Response(detail.model_dump_json(), 201, media_type="application/json")

    async def one(self, request: Request, noun: str, ref: str, rest: list[str]) -> Response:
        platform = self.platform
        row = platform.find(noun, ref)
        match (request.method, rest):
            case ("GET", []):
                return shown(_VIEWS[noun][1].model_validate(row))
            case ("DELETE", []):
                platform.rows[noun].remove(row)
                platform.tell(noun, row["id"], "deleted")
                return Response(status_code=204)
            case ("PATCH", []):
                update = ServiceUpdate.model_validate(await request.json())
                if update.replicas is not None:
                    row.update(replicas=update.replicas, ready=update.replicas)
                if update.running is not None:
                    row.update(
                        state="running" if update.running else "stopped",
                        ready=row["replicas"] if update.running else 0,
                    )
                platform.tell(noun, row["id"])
                return shown(ServiceDetail.model_validate(row))
            case ("POST", ["stop"]):
                row["state"] = "stopping"
                platform.end(noun, row)
                return shown(TaskDetail.model_validate(row))
        if noun == "services":
            body = await request.json() if await request.body() else None
            end = "failed" if platform.ends[0] == "failed" else "running", platform.ends[2]
            if Revisions(row, end).answer(request.method, rest, body):
                platform.bodies.append(body)
                platform.tell(noun, row["id"])
                return shown(ServiceDetail.model_validate(row))
        return self.below(request, noun, row, rest)

    def below(self, request: Request, noun: str, row: Row, rest: list[str]) -> Response:
        platform = self.platform
        match (request.method, rest):
            case ("GET", ["log"]):
                return self.log(f"{noun}:{row['id']}", int(request.query_params["offset"]))
            case ("GET", ["metrics"]):
                return shown(platform.metrics)
            case ("GET", ["versions", _, "download"]):
                return Response(platform.download, media_type="application/x-tar")
            case ("GET", ["versions", number, "log"]):
                source = f"{noun}:{row['id']}:{number}"
                return self.log(source, int(request.query_params["offset"]))
        raise NotFound("There is nothing at this address.")

    def log(self, source: str, offset: int, page: int = 10) -> Response:
        text, ended = self.platform.logs.get(source, ("", True))
        piece = text.encode()[offset : offset + page]
        after = offset + len(piece)
        complete = ended and after >= len(text.encode())
        return shown(
            LogPage(text=piece.decode(), offset=offset, next_offset=after, complete=complete)
        )

    def upload(self, number: int) -> Response:
        announced = self.platform.announced[number]
        return shown(
            UploadView(
                id=number,
                filename=announced.filename,
                size=announced.size,
                received=len(self.platform.uploads[number]),
                complete=number in self.platform.done,
            )
        )

    async def upload_part(self, request: Request, method: str, number: int) -> Response:
        platform = self.platform
        if method == "PUT":
            if int(request.query_params["offset"]) != len(platform.uploads[number]):
                raise Conflict("The part does not follow what is there.")
            platform.uploads[number] += await request.body()
            if platform.lose_answers:
                platform.lose_answers -= 1
                return Response("Bad Gateway", 502)
        if method == "POST":
            platform.done.add(number)
        return self.upload(number)

    async def mount(self, request: Request, rest: list[str]) -> Response:
        platform = self.platform
        if request.method == "GET":
            return listed(platform.mounts)
        if request.method == "DELETE":
            platform.mounts = [m for m in platform.mounts if str(m.id) != rest[0]]
            return Response(status_code=204)
        wanted = MountCreate.model_validate(await request.json())
        state, reason, message = platform.ends
        mount = MountView(
            id=len(platform.mounts) + 1,
            server_id=1,
            dataset_id=1,
            dataset=wanted.dataset,
            version=wanted.version or 1,
            path=f"datasets/{wanted.dataset}",
            state="mounted" if state == "ready" else "failed",
            enforced=True,
            reason=reason,
            message=message,
        )
        platform.mounts = [*platform.mounts, mount]
        return shown(mount.model_copy(update={"state": "mounting"}))

    async def stream(self, request: Request) -> Response:
        platform = self.platform
        platform.streams += 1
        if request.headers.get("Authorization") != f"token {TOKEN}":
            raise Forbidden("no")
        since = int(request.query_params.get("since", len(platform.events)))
        resources = request.query_params.getlist("resource")
        logs = [text.rpartition(":")[::2] for text in request.query_params.getlist("log")]

        async def lines() -> AsyncIterator[str]:
            seen, offsets = since, {source: int(offset) for source, offset in logs}
            yield ": open\n\n"
            while True:
                for event in platform.events[seen:]:
                    if event.resource in resources or not resources:
                        yield f"id: {event.id}\nevent: event\ndata: {event.model_dump_json()}\n\n"
                    seen = event.id
                for source in list(offsets):
                    text, ended = platform.logs.get(source, ("", False))
                    if len(text) > offsets[source] or ended:
                        chunk = {
                            "source": source,
                            "text": text[offsets[source] :],
                            "offset": offsets[source],
                            "next_offset": len(text),
                            "complete": ended,
                        }
                        yield f"event: log\ndata: {json.dumps(chunk)}\n\n"
                        offsets[source] = len(text)
                        if ended:
                            del offsets[source]
                await asyncio.sleep(0.01)

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def service(self, request: Request) -> Response:
        self.platform.called += 1
        if self.platform.calls_without_routes:
            self.platform.calls_without_routes -= 1
            return Response("404 page not found\n", 404, media_type="text/plain")
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return Response("no", 401)
        body = await request.body()
        told = {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "type": request.headers.get("Content-Type", ""),
            "bytes": len(body),
        }
        if request.url.path.endswith("/nobody"):
            # What the front door lets the platform say where no replica is ready.
            said = Problem(code="unavailable", message="No replica is ready.", request_id="r2")
            return Response(said.model_dump_json(), 503, media_type="application/problem+json")
        if request.url.path.endswith("/nothing"):
            # The front door gives its policy to whatever a service answers.
            policy = {"Content-Security-Policy": "sandbox allow-scripts allow-forms"}
            return Response("404 page not found\n", 404, policy, media_type="text/plain")
        status = 418 if request.url.path.endswith("/teapot") else 200
        return JSONResponse(told, status, headers={"Set-Cookie": "stolen=1"})

    async def hub_token(self, request: Request) -> Response:
        body = await request.json()
        if body["auth"] != {"username": "ada", "password": "secret"}:
            return JSONResponse({"status": 403, "message": "Forbidden"}, 403)
        return JSONResponse({"token": TOKEN, "user": "ada", "id": "a1"}, 201)


def shown(item: Any) -> Response:
    """Return an item as an answer."""
    return Response(item.model_dump_json(), media_type="application/json")


def listed(items: Any, after: str | None = None) -> Response:
    """Return a page as an answer."""
    return JSONResponse({"items": [i.model_dump(mode="json") for i in items], "next": after})
