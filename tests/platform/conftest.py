"""Fixtures of the platform's tests: the real application on a private home.

clock       a clock that stands still until told to go on
hub         a small HTTP server that knows tokens as JupyterHub does; ``hub.down()`` ends it
settings    an installation below ``tmp_path``, with secrets
database    its database, at the newest revision
files       its file store
context     all its parts, on the in-memory engine
app         the API
client      a test client without a token; ``login("alice")`` gives one that has one
upload      sends bytes in parts and completes them
site        the whole platform at work: API, controller and in-memory engine in one loop
docker      the same with an engine that has images
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Client

from kpl_lab.clock import ManualClock
from kpl_lab.engines.fake import FakeEngine
from kpl_lab.platform import scopes
from kpl_lab.platform.app import create_app
from kpl_lab.platform.context import Context, create_context
from kpl_lab.platform.domain import catalog_file
from kpl_lab.platform.runtime.reconcilers.images import ImageReconciler
from kpl_lab.platform.runtime.reconcilers.imports import ImportReconciler
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.settings import Home, Ports, Settings
from tests.platform.running import Site, running

with warnings.catch_warnings():
    # Starlette wants another HTTP library for its test client; ours is httpx.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

API = "/kpl/api/v1"
INTERNAL = "internal-token-of-the-hub"


class Hub:
    """A JupyterHub as far as ``GET /hub/api/user`` goes."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.questions = 0
        self.status = 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.questions += 1
                token = self.headers.get("Authorization", "").removeprefix("token ")
                known = hub.users.get(token)
                status = hub.status if hub.status != 200 else 200 if known else 403
                body = json.dumps(known or {"status": status, "message": "Forbidden"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def add(self, name: str, *granted: str, kind: str = "user") -> str:
        """Make a token and return it."""
        token = f"token-of-{name}-{len(self.users)}"
        self.users[token] = {"kind": kind, "name": name, "admin": False, "scopes": list(granted)}
        return token

    def down(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.down()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def settings(tmp_path: Path, hub: Hub) -> Settings:
    home = Home(tmp_path / "home")
    for folder in (home.run, home.platform, home.storage, home.secrets):
        folder.mkdir(parents=True)
    (home.secrets / "jwt").write_text("a-key-of-enough-characters-for-hs256\n")
    (home.secrets / "hub-to-platform").write_text(INTERNAL)
    (home.secrets / "metrics").write_text("token-of-scrapers\n")
    (home.secrets / "at-rest").write_text("what encrypts stored passwords\n")
    return Settings(home, Ports(8000, hub.port, 8002, 8003), "test")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at the newest revision, to be copied: migrating takes longer than a test."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    upgrade.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(settings: Settings, clock: ManualClock, empty_database: Path) -> Iterator[Database]:
    shutil.copyfile(empty_database, settings.home.platform / "kpl.sqlite")
    made = Database(settings.sqlalchemy_url, clock)
    yield made
    made.close()


@pytest.fixture
def files(settings: Settings) -> FileStore:
    return FileStore(settings.home.storage)


@pytest.fixture
def empty_context(settings: Settings, database: Database, clock: ManualClock) -> Iterator[Context]:
    """A platform whose catalog was not read yet: nothing in it, no event told."""
    made = create_context(settings, FakeEngine(clock=clock), clock)
    yield made
    made.close()


@pytest.fixture
def context(empty_context: Context) -> Context:
    look_at_catalog(empty_context)
    return empty_context


@pytest.fixture
def app(context: Context) -> FastAPI:
    return create_app(context)


@pytest.fixture
def client(app: FastAPI) -> Iterator[Client]:
    with TestClient(app, base_url=f"http://platform{API}/", raise_server_exceptions=False) as made:
        yield made


SmallDisk = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture
def small_disk() -> SmallDisk:
    """Return a context manager that makes a folder a disk of its own with 128 KiB of room."""

    @contextmanager
    def mounted(folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
        if (
            os.geteuid() != 0
            or subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode
        ):
            pytest.skip("a disk of one's own cannot be mounted here")
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    return mounted


Login = Callable[..., Client]


@pytest.fixture
def login(app: FastAPI, client: Client, hub: Hub) -> Login:
    """Return a client of a user, with all scopes of a user where none are named."""

    def as_user(name: str, *granted: str) -> Client:
        token = hub.add(name, *(granted or (scopes.SELF,)))
        return TestClient(
            app,
            base_url=f"http://platform{API}/",
            headers={"Authorization": f"token {token}"},
            raise_server_exceptions=False,
        )

    return as_user


@pytest.fixture
def alice(login: Login) -> Client:
    return login("alice")


@pytest.fixture
def bob(login: Login) -> Client:
    return login("bob")


@pytest.fixture
def admin(login: Login) -> Client:
    return login("admin", scopes.ADMIN)


def send(client: Client, filename: str, content: bytes) -> int:
    """Upload bytes and return the finished upload's id."""
    made = client.post("uploads", json={"filename": filename, "size": len(content)})
    assert made.status_code == 201, made.text
    id = int(made.json()["id"])
    put = client.put(f"uploads/{id}", params={"offset": 0}, content=content)
    assert put.status_code == 200, put.text
    done = client.post(f"uploads/{id}/complete")
    assert done.json()["complete"], done.text
    return id


def tar_of(entries: Mapping[str, bytes | str], mode: str = "w") -> bytes:
    """Return a tar with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(entries: Mapping[str, bytes | str]) -> bytes:
    """Return a zip with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def picture(color: str = "red", format: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    """Return a small picture."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, format)
    return out.getvalue()


def look_at_catalog(context: Context) -> None:
    """Do the controller's part: read the catalog's file and look at every image."""

    async def all_of_them() -> None:
        world = World(context)
        catalog = catalog_file.load(context)
        await world.write(lambda s: catalog_file.take_up(s, context, catalog))
        for id in await world.read(lambda s: s.images.ids()):
            await ImageReconciler(world).reconcile(id)

    asyncio.run(all_of_them())


def prepare(context: Context) -> None:
    """Do the controller's part: make all versions that wait, each in its own process."""

    async def all_of_them() -> None:
        world = World(context)
        with context.database.store(reads_only=True) as store:
            waiting = [("dataset", v.id) for v in store.dataset_versions.in_state("preparing")] + [
                ("model", v.id) for v in store.model_versions.in_state("preparing")
            ]
        for kind, id in waiting:
            await ImportReconciler(world, kind).reconcile(id)

    asyncio.run(all_of_them())


def create(
    context: Context,
    client: Client,
    noun: str,
    filename: str,
    content: bytes,
    *,
    name: str = "thing",
) -> Any:
    """Upload, create and prepare; return the detail."""
    body = {"name": name, "upload": send(client, filename, content)}
    made = client.post(noun, json=body)
    assert made.status_code == 201, made.text
    prepare(context)
    return client.get(made.headers["Location"].removeprefix(f"{API}/")).json()


@pytest.fixture
async def site(context: Context, hub: Hub) -> AsyncIterator[Site]:
    """Give the whole platform at work: API, controller and in-memory engine in one loop."""
    async with running(context, hub) as found:
        yield found


@pytest.fixture
async def docker(context: Context, hub: Hub) -> AsyncIterator[Site]:
    """A platform whose engine has images."""
    changed = replace(context, settings=replace(context.settings, engine="docker"))
    with context.database.store() as store:
        for id in store.images.ids():  # of the local engine's catalog
            store.images.delete(id)
    async with running(changed, hub) as site:
        yield site
