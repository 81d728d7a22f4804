"""A spawner without an engine: notebook servers are workloads that the platform runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from jupyterhub.spawner import Spawner
from sqlalchemy.orm import object_session
from traitlets import Bool, Dict, Float, Instance, Integer, Unicode, default

from kpl_lab.errors import Invalid, KplError, NotFound, Unavailable
from kpl_lab.hub import options, start_page
from kpl_lab.hub.failure import failure, refusal
from kpl_lab.hub.platform_client import Person, PlatformClient, client_of
from kpl_lab.hub.progress import Progress, ProgressEvent, first_event
from kpl_lab.retry import backoff
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import ImageView
from kpl_lab.schemas.servers import ServerCreate, ServerLaunch, ServerStatus

ENDED = ("stopped", "failed")
# A start that takes longer waits for something, and is looked at more rarely.
SOON_SECONDS, PATIENT_SECONDS = 60.0, 2.0
# Users are numbers without an entry in /etc/passwd: bash knows no name for its prompt.
PROMPT_COMMAND = r"PS1=${PS1//\\u/${USER:-$JUPYTERHUB_USER}}"


class PlatformSpawner(Spawner):  # type: ignore[misc]  # JupyterHub has no types
    """Asks the platform for a server and follows what becomes of it."""

    platform_url = Unicode(help="Base of the platform's API on the loopback.").tag(config=True)
    platform_token = Unicode(help="What opens the platform's internal routes.").tag(config=True)
    front_door_url = Unicode(help="The address that users have in their browsers.").tag(config=True)
    skeleton = Unicode(
        "", help="Folder whose content a user's home gets when it is made; empty: none."
    ).tag(config=True)
    look_seconds = Float(
        0.5, help="Longest wait between two looks at a server that is starting."
    ).tag(config=True)
    stop_seconds = Float(60.0, help="Longest wait for a server to end.").tag(config=True)

    server_id = Integer(None, allow_none=True, help="The platform's id of the server.")

    # What was chosen for the last start that the platform did not refuse.
    _accepted = Dict()
    # Whether a start is under way, and whether the hub died over one.
    _is_starting = Bool(False)
    _is_interrupted = Bool(False)
    _steps = Instance(Progress, args=())

    @property
    def _platform(self) -> PlatformClient:
        return client_of(self.platform_url, self.platform_token)

    @property
    def _person(self) -> Person:
        groups = frozenset(group.name for group in self.user.groups)
        return Person(self.user.name, groups, bool(self.user.admin))

    # What survives a restart of the hub.

    def get_state(self) -> dict[str, Any]:
        """Return what the hub keeps: the platform's id, and whether the server is being started."""
        state: dict[str, Any] = super().get_state()
        if self.server_id is not None:
            state["server_id"] = self.server_id
        if self._is_starting:
            state["is_starting"] = True
        if self._accepted:
            state["accepted"] = dict(self._accepted)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what the hub kept."""
        super().load_state(state)
        self.server_id = state.get("server_id")
        self._is_interrupted = bool(state.get("is_starting"))
        self._accepted = dict(state.get("accepted") or {})

    def _keep_state(self) -> None:
        """Write down now what JupyterHub writes down when a start has ended."""
        self.orm_spawner.state = self.get_state()
        session = object_session(self.orm_spawner)
        if session is not None:
            session.commit()

    def clear_state(self) -> None:
        """Forget the server."""
        super().clear_state()
        self.server_id = None
        self._is_starting = self._is_interrupted = False

    # The start page.

    def options_from_form(self, form_data: dict[str, list[str]]) -> dict[str, Any]:
        """Return the start page's fields as user options."""
        return options.from_form(form_data)

    async def get_options_form(self) -> str:
        """Return the start page's form, drawn for this user and this moment."""
        scene = await start_page.collect(
            self._platform, self._person, self.name, self.user_options or self._remembered()
        )
        return start_page.render(scene)

    def _remembered(self) -> dict[str, Any]:
        kept = self.orm_spawner.user_options if self.orm_spawner else None
        return dict(kept or {})

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[[Spawner, dict[str, Any]], None]:
        return _leave_options

    # Start, stop, poll.

    async def start(self) -> tuple[str, int]:
        """Ask for the server, wait until it listens, and return where."""
        self._steps = Progress()
        self._steps.tell(first_event())
        try:
            return await self._start()
        except KplError as error:
            raise refusal(error) from error
        finally:
            self._is_starting = False
            self._steps.finish()

    async def _start(self) -> tuple[str, int]:
        try:
            status = await self._ask_for_server()
        except Unavailable:
            raise
        except KplError:
            # JupyterHub would offer it again, and take it for a start without a choice.
            self.user_options = self.orm_spawner.user_options = dict(self._accepted)
            raise
        self._accepted = dict(self.user_options or {})
        return await self._follow(status.id, status)

    async def _ask_for_server(self) -> ServerStatus:
        """Have the platform check and write down what was chosen, and start it."""
        choice = options.read(self.user_options or {})
        image = _find_image(await self._platform.images(self._person), choice.image)
        resources = choice.resources(image.default_resources)
        grant = await self._platform.create_server(
            ServerCreate(
                user=self.user.name,
                name=self.name,
                image=image.name,
                resources=resources,
                mounts=list(choice.mounts),
                pool=choice.pool,
                groups=sorted(self._person.groups),
            )
        )
        self.server_id = grant.id
        self._is_starting = True
        # Before anything runs: a hub that dies meanwhile must know what it has begun.
        self._keep_state()
        launch = ServerLaunch(
            command=list(self.cmd) + self.get_args(),
            environment=self._environment(grant.id, resources),
            skeleton=self.skeleton or None,
            idle_stop_minutes=choice.idle_stop,
        )
        return await self._platform.start_server(grant.id, launch)

    async def _follow(self, server: int, status: ServerStatus) -> tuple[str, int]:
        waits = backoff(0.03, max_seconds=self.look_seconds)
        begun = time.monotonic()
        while True:
            self._steps.tell_status(status)
            if status.state == "running" and status.address:
                host, _, port = status.address.rpartition(":")
                return host, int(port)
            if status.state in ENDED:
                raise await failure(self._platform, status)
            is_soon = time.monotonic() - begun < SOON_SECONDS
            if status.state == "starting" and is_soon:
                await self._platform.until_running(server, next(waits))
            else:  # it may wait for hours, also for a node of its cluster
                await asyncio.sleep(next(waits) if is_soon else PATIENT_SECONDS)
            try:
                status = await self._platform.server(server)
            except Unavailable:
                # It is restarted and knows the server still; the start goes on meanwhile.
                await asyncio.sleep(next(waits))

    def _environment(self, server: int, resources: Resources) -> dict[str, str]:
        env: dict[str, str] = {key: str(value) for key, value in self.get_env().items() if value}
        # The engine picks address and port and fills them in.
        env["JUPYTERHUB_SERVICE_URL"] = f"http://{{{{host}}}}:{{{{port}}}}{self.server.base_url}"
        env["KPL_API_URL"] = self.platform_url
        env["KPL_PUBLIC_URL"] = self.front_door_url
        env["KPL_SERVER_ID"] = str(server)
        env.setdefault("PROMPT_COMMAND", PROMPT_COMMAND)
        env["MEM_LIMIT"] = str(resources.memory << 20)
        env["CPU_LIMIT"] = f"{resources.cpu:g}"
        return env

    async def stop(self, now: bool = False) -> None:
        """Have the server ended and wait for it; a server that nobody knows is ended."""
        del now
        if self.server_id is None:
            return
        self._steps.finish()
        try:
            await self._platform.stop_server(self.server_id)
            async with asyncio.timeout(self.stop_seconds):
                for wait in backoff(0.03, max_seconds=self.look_seconds):
                    if (await self._platform.server(self.server_id)).state in ENDED:
                        return
                    await asyncio.sleep(wait)
        except NotFound:
            return
        except TimeoutError:
            self.log.warning("server %s did not end in time", self.server_id)

    async def poll(self) -> int | None:
        """Return None while it runs, its end's code otherwise; a silent platform means running.

        A server over whose start the hub has died is ended here, in the hub's first question after
        its restart: nobody follows that start any more, and whom the hub takes for ended it forgets.
        """
        if self.server_id is None:
            return 0
        if self._is_interrupted:
            await self._end_interrupted()
            return 1
        try:
            if await self._platform.is_alive(self.server_id):
                return None
            status = await self._platform.server(self.server_id)
        except NotFound:
            return 0
        except KplError as error:
            self.log.debug("server %s: %s", self.server_id, error.message)
            return None
        if status.state not in ENDED:
            return None
        return 1 if status.state == "failed" else 0

    async def _end_interrupted(self) -> None:
        self.log.warning("the hub has died over the start of server %s; it ends", self.server_id)
        for wait in backoff(0.5, max_seconds=10.0):
            try:
                await self.stop()
            except Unavailable:
                await asyncio.sleep(wait)
            else:
                break
        self._is_interrupted = False

    async def progress(self) -> AsyncIterator[ProgressEvent]:
        """Yield the steps of the start in words."""
        async for event in self._steps.follow():
            yield event


def _leave_options(spawner: Spawner, user_options: dict[str, Any]) -> None:
    """Set nothing: the start reads and checks the options itself."""


def _find_image(images: list[ImageView], name: str | None) -> ImageView:
    """Return the image of this name or alias; without one the catalog's default."""
    ready = [image for image in images if image.state == "ready"]
    if name is None:
        chosen = next((i for i in ready if i.default), ready[0] if ready else None)
        if chosen is None:
            raise Invalid(
                "The catalog holds no image that can be started; ask an administrator.",
                code="no_image",
            )
        return chosen
    for image in images:
        if name == image.name or name in image.aliases or name == str(image.id):
            if image.state != "ready":
                raise Invalid(
                    image.message or f"The image {name!r} is {image.state}; choose another one.",
                    code="image_not_ready",
                )
            return image
    names = ", ".join(image.name for image in ready)
    raise Invalid(
        f"There is no image {name!r}; the catalog has: {names or 'none'}.", code="unknown_image"
    )
