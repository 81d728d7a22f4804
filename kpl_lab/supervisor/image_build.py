"""Pulling and building images for ``kpl-lab up`` and ``make images``, told in lines."""

from __future__ import annotations

import contextlib
import io
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kpl_lab.engines.docker.daemon import Daemon, DaemonGone
from kpl_lab.errors import EngineError, KplError, StorageFull
from kpl_lab.supervisor.image_context import Context

Say = Callable[[str], None]
CONTENT = "kpl.image.content"
BASE = "kpl.image.base"
_PROGRESS = "== "  # how the scripts of images/base begin a line that people wait for
_LAST_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Order:
    """An image to be.

    Attributes
    ----------
    base
        What it stands on, already there.
    arguments
        Further build arguments.
    network
        Of the build; empty: Docker's default.
    log
        File that keeps all that the builder says.
    """

    reference: str
    context: Context
    base: str
    arguments: Mapping[str, str]
    network: str
    log: Path

    def parameters(self) -> dict[str, str]:
        """Return what the builder is told beside the context."""
        labels = {CONTENT: self.context.digest, BASE: self.base}
        found = {
            "t": self.reference,
            "rm": "1",
            "forcerm": "1",
            "labels": json.dumps(labels),
            "buildargs": json.dumps({**self.arguments, "BASE_IMAGE": self.base}),
        }
        return found | ({"networkmode": self.network} if self.network else {})


@dataclass
class _Listener:
    """Keeps what a builder says, and passes on what people wait for."""

    say: Say
    log: IO[str]
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    error: str | None = None
    _rest: str = ""

    def hear(self, item: Mapping[str, object]) -> None:
        if "error" in item:
            self.error = str(item["error"])
            self.log.write(f"{self.error}\n")
        text = self._rest + str(item.get("stream", ""))
        *lines, self._rest = text.split("\n")
        for line in lines:
            self.log.write(f"{line}\n")
            if line.startswith(_PROGRESS):
                self.say(line.removeprefix(_PROGRESS))
            if line.strip():
                self.last.append(line.rstrip())


async def build(daemon: Daemon, order: Order, say: Say) -> None:
    """Build an image.

    Raises
    ------
    EngineError
        It cannot be built; the message has the last lines.
    StorageFull
        There is no room for it.
    DaemonGone
        The daemon has ended meanwhile.
    """
    try:
        tar = order.context.tar()
    except OSError as error:
        raise EngineError(
            f"{order.reference} cannot be built: {error}.", code="image_build_failed"
        ) from error
    order.log.parent.mkdir(parents=True, exist_ok=True)
    with order.log.open("w", encoding="utf-8") as log:
        heard = _Listener(say, log)
        async with contextlib.aclosing(daemon.build(io.BytesIO(tar), order.parameters())) as stream:
            async for item in stream:
                heard.hear(item)
    if heard.error is not None:
        raise _failure(order, heard)
    if not await daemon.has_image(order.reference):
        raise DaemonGone(
            "The Docker daemon has ended during the build; start it, and try again.",
            code="docker_unreachable",
        )


def _failure(order: Order, heard: _Listener) -> KplError:
    said = "\n".join(heard.last)
    error = heard.error or ""
    if "no space left on device" in f"{said}\n{error}".lower():
        return StorageFull(
            f"There is no room left for {order.reference}: `docker system df` says what takes it, "
            "`docker system prune` frees some.",
            detail={"log": str(order.log)},
        )
    return EngineError(
        f"{order.reference} could not be built on {order.base}: {error}\n{said}\n"
        f"All that was said is in {order.log}. Index, certificates and network of builds are "
        "DockerOptions.build_arguments, ca_bundle and build_network.",
        code="image_build_failed",
        detail={"log": str(order.log), "error": error},
    )


async def have(daemon: Daemon, reference: str, say: Say, *, may_pull: bool) -> None:
    """See that an image is there, pulling it where it is not.

    Raises
    ------
    EngineError
        It cannot be had; the message is the daemon's.
    """
    if await daemon.has_image(reference):
        return
    if not may_pull:
        raise EngineError(
            f"Docker does not have the image {reference}, and pulling is off (DockerOptions.pull).",
            code="image_unavailable",
        )
    say(f"pulling {reference}")
    layers: dict[str, str] = {}
    told = 0
    async with contextlib.aclosing(daemon.pull(reference)) as stream:
        async for item in stream:
            if "error" in item:
                raise EngineError(str(item["error"]), code="image_unavailable")
            layer, said = item.get("id"), str(item.get("status"))
            if layer is None or said.startswith("Pulling from"):
                continue
            layers[str(layer)] = said
            done = sum(one in ("Pull complete", "Already exists") for one in layers.values())
            if done > told:
                told = done
                say(f"pulling {reference}: {done} of {len(layers)} layers")
