"""``client.servers``: notebook servers and what is mounted into them.

The platform knows servers and mounts; starting and stopping them is the hub's, asked with the
same token.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from kpl_lab.client.events import Events, parse
from kpl_lab.client.plaintext import plain
from kpl_lab.client.transport import Request, Transport
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.errors import Conflict, EngineError, Invalid, KplError, NotFound
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.datasets import MountCreate, MountView
from kpl_lab.schemas.images import ImageView
from kpl_lab.schemas.servers import ServerStart, ServerView
from kpl_lab.schemas.tasks import LogPage

START_SECONDS = 600.0
LOG_BYTES = 4096
# What JupyterHub puts before a spawner's own words.
_FAILED = "Spawn failed: "
_ENDED = ("stopped", "failed")


class Servers:
    """Notebook servers: list, start, stop, mount, unmount.

    Parameters
    ----------
    transport, hub
        The platform's API and the hub's.
    """

    def __init__(self, transport: Transport, hub: Transport, events: Events) -> None:
        self._transport = transport
        self._hub = hub
        self._events = events

    def list(self) -> Sequence[ServerView]:
        """Return the servers that the caller sees, newest first."""
        return self._transport.get("/servers", Page[ServerView]).items

    def find(self, user: str, name: str = "") -> ServerView:
        """Return one server of a user that has not ended.

        Raises
        ------
        NotFound
            None of that name runs.
        """
        for server in self.list():
            if (server.user, server.name, server.state in _ENDED) == (user, name, False):
                return server
        raise NotFound(
            f"{user} has no running notebook server{f' named {name!r}' if name else ''}; start it "
            "with `kpl server start`.",
            code="no_server",
        )

    def start(
        self,
        user: str,
        name: str = "",
        *,
        options: Mapping[str, Any],
        wait: bool = True,
        on_message: Callable[[int, str], None] | None = None,
    ) -> ServerView:
        """Ask the hub for a server and return it, with ``wait`` when it answers.

        Parameters
        ----------
        options
            The start form's fields: ``image``, ``cpu``, ``memory``, ``gpu``, ``shm``, ``mounts``,
            ``idle_stop``.
        on_message
            Told the progress in percent and in words.

        Raises
        ------
        Conflict
            It runs already.
        EngineError
            It could not be started; the message says why, ``detail["log"]`` holds the end of the
            server's own log where it has one.
        Invalid
            The catalog has no such image.
        """
        if image := options.get("image"):
            self._require_image(str(image))
        before = self._require_stopped(user, name)
        path = self._hub_path(user, name)
        self._hub.send(Request("POST", path, json={**options}))
        if wait:
            why = self._follow_start(user, name, on_message)
            if why is not None:
                raise self._failure(user, name, why, before)
            self._require_running(user, name)
        return self.find(user, name)

    def history(self, user: str, name: str = "", *, limit: int = 20) -> Sequence[ServerStart]:
        """Return the newest starts of a user's server, with what happened to each."""
        query = urlencode({"user": user, "name": name, "limit": limit})
        return self._transport.get(f"/servers/history?{query}", Page[ServerStart]).items

    def log_end(self, server: int, size: int = LOG_BYTES) -> str:
        """Return the last ``size`` bytes of what a server wrote itself, as plain text."""
        return plain(self._transport.get(f"/servers/{server}/log?tail={size}", LogPage).text)

    def _require_image(self, wanted: str) -> None:
        images = self._transport.get("/images", Page[ImageView]).items
        known = [word for image in images for word in (image.name, *image.aliases)]
        if wanted in known:
            return
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise Invalid(
            f"There is no image {wanted!r} in the catalog; {hint}`kpl image list` shows them.",
            code="unknown_image",
        )

    def _require_stopped(self, user: str, name: str) -> int:
        """Refuse where it runs; return the id of its last start, 0 where there was none."""
        starts = [s for s in self.list() if (s.user, s.name) == (user, name)]
        if all(server.state in _ENDED for server in starts):
            return max((server.id for server in starts), default=0)
        words, which = (f"server {name!r}", [name]) if name else ("server", [])
        command = shlex.join(["kpl", "server", "stop", *which])
        raise Conflict(
            f"Your notebook {words} runs already; end it first with `{command}`.",
            code="already_running",
        )

    def _follow_start(
        self, user: str, name: str, on_message: Callable[[int, str], None] | None
    ) -> str | None:
        """Wait for the end of a start; return why it failed, or None."""
        path = f"{self._hub_path(user, name)}/progress"
        with self._hub.stream(path, read_seconds=START_SECONDS) as answer:
            for message in parse(answer.iter_lines()):
                if not message.data:
                    continue
                event = json.loads(message.data)
                if on_message and not event.get("failed"):
                    on_message(int(event.get("progress", 0)), str(event.get("message", "")))
                if event.get("failed"):
                    return str(event.get("message", "")).removeprefix(_FAILED)
                if event.get("ready"):
                    break
        return None

    def _require_running(self, user: str, name: str) -> None:
        """Refuse a start that was given up: the hub calls its end a success, too."""
        newest = next((s for s in self.list() if (s.user, s.name) == (user, name)), None)
        if newest is None or newest.state != "running":
            raise EngineError(
                "The notebook server did not start: it was stopped meanwhile.",
                code="server_stopped",
            )

    def _failure(self, user: str, name: str, why: str, before: int) -> EngineError:
        """Return what to raise: with the log of this start, not of one ``before`` it was refused."""
        detail = {}
        with suppress(KplError):  # the reason is known all the same
            found = self.history(user, name, limit=1)
            if found and found[0].id > before and found[0].state == "failed":
                detail["log"] = self.log_end(found[0].id)
        return EngineError(
            f"The notebook server did not start: {why}", code="server_failed", detail=detail
        )

    def stop(self, user: str, name: str = "", *, wait: bool = True) -> ServerView:
        """Stop a server, keeping its files, and return it, with ``wait`` when it has ended."""
        server = self.find(user, name)
        self._hub.send(Request("DELETE", self._hub_path(user, name)))
        if not wait:
            return server

        def look() -> ServerView | None:
            return next((s for s in self.list() if s.id == server.id), None)

        def is_ended(found: ServerView | None) -> bool:
            return found is None or found.state in _ENDED

        ended = wait_until(self._events, Watch(("servers",), server.id), look, is_ended)
        return ended or server.model_copy(update={"state": "stopped"})

    def mounts(self, server: int) -> Sequence[MountView]:
        """Return what is mounted into a server."""
        return self._transport.get(f"/servers/{server}/mounts", Page[MountView]).items

    def mount(
        self, server: int, dataset: str, version: int | None = None, *, wait: bool = True
    ) -> MountView:
        """Show a dataset in a running server and return the mount, with ``wait`` when it is there.

        Raises
        ------
        EngineError
            It could not be mounted.
        """
        body = MountCreate(dataset=dataset, version=version)
        mount = self._transport.create(f"/servers/{server}/mounts", body, MountView)
        if not wait:
            return mount
        found = self._wait_mount(server, mount.id, lambda m: m is None or m.state != "mounting")
        if found is None or found.state != "mounted":
            why = (found and (found.message or found.reason)) or "it went away."
            raise EngineError(f"{dataset!r} was not mounted: {why}", code="mount_failed")
        return found

    def unmount(self, server: int, mount: int, *, wait: bool = True) -> None:
        """Take a mount away; with ``wait`` return when it is gone."""
        self._transport.send(Request("DELETE", f"/servers/{server}/mounts/{mount}"))
        if wait:
            left = self._wait_mount(server, mount, lambda m: m is None or m.state == "failed")
            if left is not None:
                raise Conflict(
                    f"{left.dataset!r} was not unmounted: {left.message or left.reason}",
                    code="unmount_failed",
                )

    def _wait_mount(
        self, server: int, mount: int, is_done: Callable[[MountView | None], bool]
    ) -> MountView | None:
        def look() -> MountView | None:
            return next((m for m in self.mounts(server) if m.id == mount), None)

        # Events of the mount and of its server both count: either may carry the change.
        return wait_until(self._events, Watch(("servers", "mounts")), look, is_done)

    @staticmethod
    def _hub_path(user: str, name: str) -> str:
        # The default server has a path of its own: an empty last part would be lost on the way.
        place = f"servers/{quote(name, safe='')}" if name else "server"
        return f"/users/{quote(user, safe='')}/{place}"
