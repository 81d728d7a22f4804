"""Environments as images: a Dockerfile from a recipe, built by the daemon's own builder."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import json
import re
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.daemon import DaemonGone, Event
from kpl_lab.engines.docker.ends import exit_code_of, memory_numbers
from kpl_lab.engines.docker.ledger import Entry
from kpl_lab.engines.docker.logfile import LogFile
from kpl_lab.engines.docker.names import Role
from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.running.rules import signal_name
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Kind, Recipe, ReplicaState, Workload
from kpl_lab.errors import EngineError
from kpl_lab.retry import backoff

if TYPE_CHECKING:
    from kpl_lab.engines.docker.life import Tools

# What the distribution specification calls a reference, roughly: no space, no option.
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")
_CODE = re.compile(r"returned a non-zero code: (\d+)")
_RUNNING = re.compile(r"Running in ([0-9a-f]{12})")
_CLOCK_SECONDS = 1.0  # the daemon's events have its own time
_PERIOD = 100_000
_MIB = 1 << 20
_CA_FILE = "kpl-ca.crt"
_CA_PLACE = "/etc/ssl/certs/ca-certificates.crt"


def check_base(base: str) -> str:
    """Return a base image's reference, or refuse what would be more than that in a Dockerfile."""
    if not _REFERENCE.fullmatch(base):
        raise EngineError(
            f"{base!r} is no reference of an image; correct from_image in environment.yml.",
            code="no_image",
        )
    return base


def dockerfile(recipe: Recipe, options: DockerOptions) -> str:
    """Return the Dockerfile of a recipe: one RUN a line, in the form that takes it as it is."""
    lines = [f"FROM {check_base(recipe.base or options.base_image)}"]
    lines += [f"ARG {name}" for name in sorted(options.build_arguments)]
    if options.ca_bundle:
        lines.append(f"COPY {_CA_FILE} {_CA_PLACE}")
    lines += [f"RUN {json.dumps(['/bin/sh', '-c', line])}" for line in recipe.runs]
    return "\n".join(lines) + "\n"


def context_of(recipe: Recipe, options: DockerOptions) -> bytes:
    """Return the tar that the builder is given.

    Raises
    ------
    OSError
        The file of certificates cannot be read.
    """
    files = {"Dockerfile": dockerfile(recipe, options).encode()}
    if options.ca_bundle:
        files[_CA_FILE] = Path(options.ca_bundle).read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parameters(recipe: Recipe, options: DockerOptions, installation: str) -> dict[str, str]:
    """Return what the builder is told beside the context: name, labels, limits, network."""
    memory = recipe.limits.memory_mb * _MIB
    labels = {
        names.IMAGE_INSTALLATION: installation,
        names.IMAGE_DIGEST: recipe.digest,
        names.IMAGE_WORKSPACE: recipe.workspace,
    }
    found = {
        "t": names.image(installation, recipe.digest),
        "labels": json.dumps(labels),
        "rm": "1",
        "forcerm": "1",
        "memory": str(memory),
        "memswap": str(memory),
        "cpuperiod": str(_PERIOD),
        "cpuquota": str(int(recipe.limits.cpu * _PERIOD)),
        "buildargs": json.dumps(dict(options.build_arguments)),
    }
    if options.build_network:
        found["networkmode"] = options.build_network
    return found


def workload_of(name: str, recipe: Recipe) -> Workload:
    """Return the workload as which a build is known."""
    return Workload(
        name=name,
        kind=Kind.BUILD,
        labels=recipe.labels,
        image=recipe.base,
        command=(),
        identity=f"build:{name}",
        limits=recipe.limits,
        time_limit_seconds=recipe.time_limit_seconds,
    )


@dataclass
class Said:
    """What a builder has said.

    Attributes
    ----------
    container
        Short id of the step that ran last.
    error
        Why it has failed.
    """

    container: str | None = None
    error: str | None = None

    def note(self, item: Mapping[str, object]) -> str:
        """Take a message; returns its text for the log. Progress bars are left out."""
        if "stream" in item:
            text = str(item["stream"])
            found = _RUNNING.search(text)
            self.container = found.group(1) if found else self.container
            return text
        if "error" in item:
            self.error = str(item["error"])
            return f"[kpl] the build has failed: {self.error}\n"
        is_news = "status" in item and "progress" not in item
        return f"{item['status']}\n" if is_news else ""

    @property
    def exit_code(self) -> int:
        """The exit code of the step that has failed; 1 where it was no step."""
        found = _CODE.search(self.error or "")
        return exit_code_of(int(found.group(1))) if found else 1


class BuildLife:
    """One build, from its recipe to its final status.

    The builder ends with its connection: a runner that is started again begins it once more, and
    the daemon's cache has the steps that were done.
    """

    def __init__(self, entry: Entry, recipe: Recipe, tools: Tools) -> None:
        self._entry, self._recipe, self._tools = entry, recipe, tools
        self._options = tools.planner.options
        self._installation = tools.planner.installation
        self._place = entry.place(0)
        self._status = entry.statuses[0]
        self._log = LogFile(
            self._place.log,
            max_bytes=self._options.log_max_bytes,
            gid=tools.planner.platform.gid,
        )
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Look at what was asked for."""
        if self._place.stop.exists():
            self._stopping.set()

    def look(self) -> None:
        """Do nothing: a build notices by itself that the daemon has gone."""

    def tell(self, event: Event) -> None:
        """Do nothing: a build has no container of ours."""

    def tell_beside(self, role: Role, event: Event) -> None:
        """Do nothing: nothing runs beside a build."""

    async def run(self) -> None:
        """Build, and tell how it went."""
        status = self._status
        if status.is_final:
            return
        try:
            status.started_at = status.started_at or statuses.now()
            status.state = ReplicaState.RUNNING
            self._save()
            self.wake()
            status.exit_code, end = await self._build_within_limits()
            status.cause = end.cause
            status.detail |= end.detail
            status.state, status.ended_at, status.is_final = (
                ReplicaState.EXITED,
                statuses.now(),
                True,
            )
            self._save()
        finally:
            self._log.close()

    async def _build_within_limits(self) -> tuple[int | None, Doom]:
        limit = self._recipe.time_limit_seconds
        building = asyncio.create_task(self._build_until_done())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            timeout = max(0.0, limit - self._seconds())
            await asyncio.wait(
                {building, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if building.done():
                return building.result()
            if stopping.done():
                return None, Doom(Cause.STOPPED)
            return None, Doom(Cause.TIME_LIMIT, {"limit_seconds": limit})
        finally:
            for one in (building, stopping):
                one.cancel()
            await asyncio.wait({building, stopping})

    def _seconds(self) -> float:
        started = dt.datetime.fromisoformat(self._status.started_at or statuses.now())
        return (dt.datetime.now(dt.UTC) - started).total_seconds()

    async def _build_until_done(self) -> tuple[int, Doom]:
        for wait in backoff(max_seconds=2.0):
            try:
                return await self._build()
            except DaemonGone:
                self._log.note("the Docker daemon has gone; the build goes on when it is back")
                await asyncio.sleep(wait)
            except (EngineError, OSError) as error:
                text = error.message if isinstance(error, EngineError) else str(error)
                self._log.note(f"the build has failed: {text}")
                return 1, Doom(Cause.START_FAILED, {"error": text})
        raise AssertionError("unreachable")

    async def _build(self) -> tuple[int, Doom]:
        daemon, recipe = self._tools.daemon, self._recipe
        reference = names.image(self._installation, recipe.digest)
        if await daemon.has_image(reference):
            self._log.note("the environment is there already")
            return 0, Doom(Cause.EXIT)
        context = await asyncio.to_thread(context_of, recipe, self._options)
        params = parameters(recipe, self._options, self._installation)
        said, began = Said(), time.time()
        async with contextlib.aclosing(daemon.build(context, params)) as stream:
            async for item in stream:
                self._log.append(said.note(item).encode())
        if said.error is not None:
            return said.exit_code, await self._cause_of(said, began)
        if not await daemon.has_image(reference):
            raise DaemonGone("The builder has ended without a word.", code="docker_unreachable")
        self._log.note("the environment is ready")
        return 0, Doom(Cause.EXIT)

    async def _cause_of(self, said: Said, began: float) -> Doom:
        """Return why a build has failed; a daemon that ends cancels what it builds."""
        if "context canceled" in (said.error or ""):
            raise DaemonGone("The daemon has cancelled the build.", code="docker_unreachable")
        if said.exit_code >= 0:
            return Doom(Cause.EXIT, {"error": said.error})
        is_short = said.container is not None and await self._tools.daemon.was_short_of_memory(
            said.container, began - _CLOCK_SECONDS
        )
        if is_short:
            return Doom(Cause.OUT_OF_MEMORY, memory_numbers(self._recipe.limits.memory_mb))
        return Doom(Cause.KILLED, {"signal": signal_name(-said.exit_code)})

    def _save(self) -> None:
        self._status.write(self._place.root)
        self._tools.publish(self._entry)
