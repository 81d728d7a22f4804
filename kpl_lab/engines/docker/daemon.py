"""The Docker daemon, as much of it as the runner needs.

``aiodocker`` does the ordinary calls. Streams whose breaking must be noticed (events, logs) and
builds with limits are read from its session directly: its own readers end silently when the daemon
goes away, and its builds know no limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import aiodocker
import aiohttp
from yarl import URL

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.logstream import parts_of, unix_time
from kpl_lab.engines.docker.registry import auth_header, split_reference
from kpl_lab.engines.running.logfile import LogPart
from kpl_lab.engines.spec import RegistryLogin
from kpl_lab.errors import EngineError, Unavailable

T = TypeVar("T")
Json = dict[str, Any]
_UNREACHABLE = 900  # what aiodocker says when there is no connection
_NOT_FOUND, _CONFLICT, _NOT_MODIFIED = 404, 409, 304
_LINE_BYTES = 1 << 20
_TAR = {"Content-Type": "application/x-tar"}


class DaemonGone(Unavailable):
    """The daemon does not answer; it may come back."""


class NoImage(EngineError):
    """The daemon does not have an image."""


@dataclass(frozen=True)
class Event:
    """Something that has happened to a container."""

    action: str
    container: str
    attributes: Mapping[str, str]
    nanoseconds: int


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of the client into ours."""
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status == _UNREACHABLE:
            raise _gone(error) from error
        text = str(error.message)
        if error.status == _NOT_FOUND and "no such image" in text.lower():
            raise NoImage(f"Docker has no such image: {text}", code="no_image") from error
        if "docker-init" in text:
            text += " Install Docker's init program (`docker-init`, of Debian's package tini)."
        raise EngineError(f"Docker refused: {text}", code="docker_refused") from error
    except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
        raise _gone(error) from error


def _gone(error: Exception) -> DaemonGone:
    return DaemonGone(
        "The Docker daemon does not answer; start it (`systemctl start docker`), or name its socket "
        "in DockerOptions.socket.",
        code="docker_unreachable",
        detail={"error": str(error)},
    )


async def to_its_end(call: Coroutine[object, object, T]) -> T:
    """Wait for a call that must not be cut short: what it makes would be left behind."""
    making = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait({making})
        raise


class Daemon:
    """A connection to one daemon.

    Parameters
    ----------
    socket
        Its Unix socket.
    """

    def __init__(self, socket: Path) -> None:
        # Every log that is followed holds a connection: there may be as many as needed.
        connector = aiohttp.UnixConnector(str(socket), limit=0)
        self._connector = connector
        self._docker = aiodocker.Docker("unix://localhost", connector=connector)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._docker.close()
        await self._connector.close()

    async def version(self) -> Json:
        """Return what the daemon says of itself; also settles the API's version."""
        with _translated():
            return await self._docker.version()

    async def info(self) -> Json:
        """Return what the daemon has."""
        with _translated():
            return dict(await self._docker.system.info())

    async def create(self, name: str, config: Json) -> str:
        """Make a container, or return the one of this name; its id.

        Raises
        ------
        NoImage
            The image is not there.
        EngineError
            The daemon refused.
        """
        with _translated():
            try:
                made = await self._docker.containers.create(config, name=name)
            except aiodocker.DockerError as error:
                if error.status != _CONFLICT:
                    raise
                made = await self._docker.containers.get(name)
            return made.id

    async def start(self, id: str) -> None:
        """Start a container; no-op when it runs."""
        with _translated():
            await self._docker.containers.container(id).start()

    async def kill(self, id: str, signal: str) -> None:
        """Send a signal to its first process; no-op when it does not run."""
        with _translated():
            try:
                await self._docker.containers.container(id).kill(signal=signal)
            except aiodocker.DockerError as error:
                if error.status not in (_NOT_FOUND, _CONFLICT):
                    raise

    async def remove(self, id: str) -> None:
        """Kill and remove a container; no-op when it is not there."""
        with _translated():
            try:
                await self._docker.containers.container(id).delete(force=True, v=True)
            except aiodocker.DockerError as error:
                # 409: somebody is removing it already.
                if error.status not in (_NOT_FOUND, _CONFLICT):
                    raise

    async def inspect(self, id: str) -> Json | None:
        """Return all about a container; None when it is not there."""
        with _translated():
            try:
                return await self._docker.containers.container(id).show()
            except aiodocker.DockerError as error:
                if error.status != _NOT_FOUND:
                    raise
                return None

    async def containers(self, labels: Mapping[str, str]) -> list[Json]:
        """Return all containers with these labels, running or not."""
        return list(await self._get("containers/json", {"all": "1", **names.label_query(labels)}))

    async def images(self, labels: Mapping[str, str]) -> list[Json]:
        """Return all images with these labels."""
        return list(await self._get("images/json", names.label_query(labels)))

    async def networks(self, labels: Mapping[str, str]) -> list[Json]:
        """Return all networks with these labels."""
        return list(await self._get("networks", names.label_query(labels)))

    async def image(self, reference: str) -> Json | None:
        """Return all about an image; None when it is not there."""
        with _translated():
            try:
                return dict(await self._docker.images.inspect(reference))
            except aiodocker.DockerError as error:
                if error.status != _NOT_FOUND:
                    raise
                return None

    async def has_image(self, reference: str) -> bool:
        """Say whether an image is there."""
        return await self.image(reference) is not None

    async def image_environment(self, reference: str) -> dict[str, str]:
        """Return the variables that an image sets."""
        with _translated():
            found = await self._docker.images.inspect(reference)
        pairs = (one.partition("=") for one in found["Config"].get("Env") or ())
        return {name: value for name, _, value in pairs}

    async def remove_image(self, reference: str, *, force: bool = True) -> bool:
        """Remove an image; without ``force`` False where a container stands on it. Repeatable."""
        with _translated():
            try:
                await self._docker.images.delete(reference, force=force)
            except aiodocker.DockerError as error:
                if error.status != _NOT_FOUND and (force or error.status != _CONFLICT):
                    raise
                return error.status == _NOT_FOUND
        return True

    async def pull(
        self, reference: str, login: RegistryLogin | None = None
    ) -> AsyncGenerator[Json, None]:
        """Pull an image; yields what the daemon says of its progress."""
        auth = None
        if login is not None:
            host, slash, _ = reference.partition("/")
            if not slash or not (":" in host or "." in host or host == "localhost"):
                raise EngineError(
                    f"A user name and password are for a registry, and {reference} names none; "
                    "write it as HOST/NAME:TAG.",
                    code="registry_denied",
                )
            auth = {"username": login.username, "password": login.password}
        with _translated():
            async for item in self._docker.images.pull(reference, auth=auth, stream=True):
                yield item

    async def stats(self, id: str) -> Json | None:
        """Return present numbers at once; None when it is not there."""
        found = await self._get(f"containers/{id}/stats", {"stream": "0", "one-shot": "1"})
        return None if found is None else dict(found)

    async def make_network(self, name: str, labels: Mapping[str, str], is_shared: bool) -> None:
        """Make a bridge; containers on it reach one another where it ``is_shared``."""
        options = {"com.docker.network.bridge.enable_icc": str(is_shared).lower()}
        config = {"Name": name, "CheckDuplicate": True, "Driver": "bridge"}
        config |= {"Labels": dict(labels), "Options": options}
        with _translated():
            await self._docker.networks.create(config)

    async def network(self, name: str) -> Json | None:
        """Return all about a network; None when it is not there."""
        with _translated():
            try:
                return dict(await (await self._docker.networks.get(name)).show())
            except aiodocker.DockerError as error:
                if error.status != _NOT_FOUND:
                    raise
                return None

    async def remove_network(self, name: str) -> None:
        """Remove a network that nobody uses; else it stays."""
        with _translated(), contextlib.suppress(aiodocker.DockerError):
            network = await self._docker.networks.get(name)
            await network.delete()

    @asynccontextmanager
    async def events(
        self, labels: Mapping[str, str], since_nanoseconds: int
    ) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Give what happens to containers with these labels, from a moment on.

        The iterator ends with :class:`DaemonGone`.
        """
        filters = {
            "type": ["container"],
            "label": [f"{key}={value}" for key, value in labels.items()],
        }
        seconds, rest = divmod(since_nanoseconds, 10**9)
        params = {"filters": json.dumps(filters), "since": f"{seconds}.{rest:09d}"}
        async with self._stream("GET", "events", params) as response:
            yield _events(response)

    async def was_short_of_memory(self, id: str, since_seconds: float) -> bool:
        """Say whether the kernel has killed in a container for lack of memory; it may be gone."""
        filters = {"type": ["container"], "event": ["oom"], "container": [id]}
        params = {
            "filters": json.dumps(filters),
            "since": f"{since_seconds:.9f}",
            "until": f"{time.time():.9f}",
        }
        async with self._stream("GET", "events", params) as response:
            with _translated():
                return bool(await response.read())

    async def log(
        self, id: str, since: str | None, *, follow: bool
    ) -> AsyncGenerator[list[LogPart], None]:
        """Yield the output from a moment on (that moment's too); with ``follow`` to its end."""
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if since is not None:
            params["since"] = unix_time(since)
        async with self._stream("GET", f"containers/{id}/logs", params) as response:
            rest = b""
            with _translated():
                while data := await response.content.readany():
                    parts, rest = parts_of(rest + data)
                    yield parts

    async def build(
        self, context: IO[bytes], params: Mapping[str, str]
    ) -> AsyncGenerator[Json, None]:
        """Build an image from a tar; yields what the daemon says."""
        async for item in self._said("build", params, _TAR, context):
            yield item

    async def load(self, archive: IO[bytes]) -> AsyncGenerator[Json, None]:
        """Take in what ``docker save`` has written; yields what the daemon says."""
        async for item in self._said("images/load", {"quiet": "1"}, _TAR, archive):
            yield item

    async def push(
        self, reference: str, login: RegistryLogin | None = None
    ) -> AsyncGenerator[Json, None]:
        """Send an image to its registry; yields what the daemon says."""
        name, tag = split_reference(reference)
        async for item in self._said(f"images/{name}/push", {"tag": tag}, auth_header(login)):
            yield item

    async def tag(self, image: str, reference: str) -> None:
        """Give an image a further name."""
        repository, tag = split_reference(reference)
        with _translated():
            await self._docker.images.tag(image, repository, tag=tag)

    async def _said(
        self,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        data: IO[bytes] | None = None,
    ) -> AsyncGenerator[Json, None]:
        async with self._stream("POST", path, params, headers, data) as response:
            with _translated():
                while line := await response.content.readline():
                    yield json.loads(line)

    async def _get(self, path: str, params: Mapping[str, str]) -> Any:  # noqa: ANN401 (JSON)
        async with self._stream("GET", path, params) as response:
            with _translated():
                return await response.json()

    @asynccontextmanager
    async def _stream(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        data: IO[bytes] | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        if self._docker.api_version == "auto":
            await self.version()
        url = URL(f"{self._docker.docker_host}/{self._docker.api_version}/{path}")
        with _translated():
            response = await self._docker.session.request(
                method,
                url,
                params=params,
                headers=headers,
                data=data,
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=_LINE_BYTES,
            )
            if response.status >= 400:
                text = await response.text()
                response.close()
                with contextlib.suppress(ValueError, KeyError):
                    text = json.loads(text)["message"]
                raise aiodocker.DockerError(response.status, text)
        try:
            yield response
        finally:
            response.close()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    with _translated():
        while line := await response.content.readline():
            found = json.loads(line)
            yield Event(
                action=str(found["Action"]),
                container=str(found["Actor"]["ID"]),
                attributes=found["Actor"]["Attributes"],
                nanoseconds=int(found["timeNano"]),
            )
    raise _gone(ConnectionResetError("the stream of events has ended"))
