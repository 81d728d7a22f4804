"""The platform's own image on this machine: found, or built from what runs here."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab import __version__
from kpl_lab.engines.docker.daemon import Daemon, DaemonGone
from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.errors import EngineError
from kpl_lab.settings import DEFAULT_BASE_IMAGE, Settings, own_image
from kpl_lab.supervisor.image_build import BASE, CONTENT, Order, Say, build, have
from kpl_lab.supervisor.image_context import Context, images_folder
from kpl_lab.supervisor.wheel import has_panels, make_wheel

REFERENCE = own_image(__version__)
LOG = "base-image.log"


@dataclass(frozen=True)
class Wanted:
    """The image that is ours to build: its reference, and the folder that it is built from."""

    reference: str = REFERENCE
    folder: Path = field(default_factory=lambda: images_folder() / "base")


def ensure_base_image(
    settings: Settings, options: DockerOptions, say: Say, wanted: Wanted | None = None
) -> str:
    """See that the base image is there and of this very program; return its reference.

    Built anew where its content differs (another version, a checkout that changed), or where
    ``KPL_BASE_IMAGE`` names another image to stand on. An image of that name that carries no label
    of ours, and one that ``DockerOptions.base_image`` names, are used as they are.

    Raises
    ------
    KplError
        There is no daemon, no image to stand on, no wheel, no room, or the build has failed.
    """
    return asyncio.run(_ensure(settings, options, say, wanted or Wanted()))


async def _ensure(settings: Settings, options: DockerOptions, say: Say, wanted: Wanted) -> str:
    daemon = Daemon(Path(options.socket))
    try:
        await daemon.version()  # before a wheel is made in vain
        if options.base_image not in (REFERENCE, wanted.reference):
            await _have_chosen(daemon, options, say)
            return options.base_image
        await _Making(settings, options, say, daemon).ensure(wanted)
        return wanted.reference
    finally:
        await daemon.close()


async def _have_chosen(daemon: Daemon, options: DockerOptions, say: Say) -> None:
    """See that the image is there that the administrator has named."""
    try:
        await have(daemon, options.base_image, say, may_pull=options.pull)
    except DaemonGone:
        raise
    except EngineError as error:
        raise EngineError(
            f"The image {options.base_image} of DockerOptions.base_image cannot be had: "
            f"{error.message} Load or pull it, or remove that setting: then one is built.",
            code="no_base_image",
        ) from error


class _Making:
    """One look at the base image, and its making where that is called for."""

    def __init__(
        self, settings: Settings, options: DockerOptions, say: Say, daemon: Daemon
    ) -> None:
        self._settings, self._options = settings, options
        self._say, self._daemon = say, daemon

    async def ensure(self, wanted: Wanted) -> None:
        """Leave an image that is as it should be."""
        found = await self._daemon.image(wanted.reference)
        labels = _labels(found)
        if found is not None and CONTENT not in labels:
            self._say(f"{wanted.reference} was not made by `kpl-lab`; it is used as it is")
            return
        with tempfile.TemporaryDirectory(prefix="kpl-wheel-") as folder:
            wheel = await asyncio.to_thread(make_wheel, Path(folder))
            context = Context(
                folder=wanted.folder,
                wheel=wheel,
                ca_bundle=Path(self._options.ca_bundle) if self._options.ca_bundle else None,
            )
            reason = self._reason(labels, context.digest)
            if reason is None:
                return
            self._say(f"{reason}: building {wanted.reference}")
            if not has_panels(wheel):
                self._say("the front end is not built: servers will have no panels (`make up`)")
            await self._build(wanted, context)
        if found is not None:
            await self._forget(str(found["Id"]))

    def _reason(self, labels: dict[str, str], digest: str) -> str | None:
        """Return why an image is built, or None."""
        asked = self._settings.base_image
        if not labels:
            return "there is no base image of this version yet"
        if labels[CONTENT] != digest:
            return "the base image is of another state of this version"
        if asked is not None and labels.get(BASE) != asked:
            return f"the base image stands on {labels.get(BASE)}"
        return None

    async def _build(self, wanted: Wanted, context: Context) -> None:
        options = self._options
        base = self._settings.base_image or DEFAULT_BASE_IMAGE
        try:
            await have(self._daemon, base, self._say, may_pull=options.pull)
        except DaemonGone:
            raise
        except EngineError as error:
            raise EngineError(
                f"{wanted.reference} is built on {base}, which cannot be had: {error.message} Name "
                "an image that Docker has, or can pull, in KPL_BASE_IMAGE: like Debian or Ubuntu, "
                "or with Python 3.11 or newer.",
                code="no_base_image",
            ) from error
        order = Order(
            reference=wanted.reference,
            context=context,
            base=base,
            arguments=dict(options.build_arguments),
            network=options.build_network,
            log=self._settings.home.logs / LOG,
        )
        await build(self._daemon, order, self._say)
        self._say(f"{wanted.reference} is ready")

    async def _forget(self, id: str) -> None:
        """Remove the image that was replaced; one that something stands on stays."""
        try:
            await self._daemon.remove_image(id)
        except DaemonGone:
            raise
        except EngineError:
            self._say("the former base image stays: something stands on it")


def _labels(image: dict[str, Any] | None) -> dict[str, str]:
    return {} if image is None else dict(image["Config"].get("Labels") or {})
