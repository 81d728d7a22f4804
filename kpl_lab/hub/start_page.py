"""The start page: what there is to choose from, and how it is drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader

from kpl_lab.errors import Invalid, KplError
from kpl_lab.hub import bounds, options
from kpl_lab.hub.platform_client import Person, PlatformClient
from kpl_lab.schemas.common import Resources, Visibility
from kpl_lab.schemas.datasets import DatasetView
from kpl_lab.schemas.images import PRESET_OWNER, ImageView
from kpl_lab.schemas.pools import PoolView
from kpl_lab.schemas.servers import CapacityView, ServerView

T = TypeVar("T")
TEMPLATES = Path(__file__).parent / "templates"
ANSWER_SECONDS = 5.0
# Whole sentences with places, as the catalogues of the pages have them.
_GIVEN = "{image} is given at most {most}."
_IN_ALL = "The machine has {most} in all."
RUNNING = ("pending", "starting", "running", "stopping")


@dataclass(frozen=True)
class Preset:
    """A named set of limits."""

    name: str
    resources: Resources

    @property
    def as_fields(self) -> str:
        """What the form sends for it, as ``options.from_form`` takes it apart."""
        return urlencode(self.resources.model_dump())


@dataclass(frozen=True)
class Scene:
    """Everything that the page shows.

    Attributes
    ----------
    last_mounts
        Datasets of this user's last server of the name: name to ``NAME`` or ``NAME:VERSION``.
    problem
        Why something is missing, in a sentence; empty when all is there.
    ended
        How this user's last server of the name ended badly, in a sentence.
    """

    user: str
    server_name: str
    choice: options.Choice
    last_mounts: Mapping[str, str] = field(default_factory=dict)
    images: list[ImageView] = field(default_factory=list)
    capacity: CapacityView | None = None
    datasets: list[DatasetView] = field(default_factory=list)
    running: list[ServerView] = field(default_factory=list)
    problem: str = ""
    ended: str = ""

    @property
    def pool(self) -> PoolView | None:
        """The resource pool that is chosen at first; None where there are none."""
        pools = self.capacity.pools if self.capacity else []
        return next((p for p in pools if p.name == self.choice.pool), pools[0] if pools else None)

    @property
    def chosen_mounts(self) -> list[str]:
        """The datasets that are chosen at first: those of the last server that are still there."""
        there = {dataset.name for dataset in self.datasets}
        return [reference for name, reference in self.last_mounts.items() if name in there]


async def collect(
    platform: PlatformClient, person: Person, server_name: str, remembered: Mapping[str, Any]
) -> Scene:
    """Ask the platform for everything at once; what does not answer is left out and named."""
    images, capacity, datasets, servers = await asyncio.gather(
        _or_none(platform.images(person)),
        _or_none(platform.capacity(person)),
        _or_none(platform.datasets()),
        _or_none(platform.servers()),
    )
    problem = ""
    if images is None:
        problem = "The platform does not answer at the moment. Reload this page in a few seconds."
    user = person.name
    mine = [server for server in servers or [] if server.user == user]
    last = next((s for s in mine if s.name == server_name), None)
    choice = _choice(remembered)
    mounts = last.wanted_mounts if last else choice.mounts
    return Scene(
        user=user,
        server_name=server_name,
        choice=choice,
        last_mounts={reference.partition(":")[0]: reference for reference in mounts},
        images=[one for one in images or [] if one.serves_notebooks or one.state != "ready"],
        capacity=capacity,
        datasets=[d for d in datasets or [] if _may_see(user, d)],
        running=[s for s in mine if s.state in RUNNING],
        problem=problem,
        ended=_ended_badly(last),
    )


def _ended_badly(last: ServerView | None) -> str:
    """Return why the last server ended, where that was not its user's wish."""
    if last is None or last.state not in ("failed", "stopped"):
        return ""
    return last.message or (last.reason or "" if last.state == "failed" else "")


async def _or_none(asked: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asked
    except (KplError, TimeoutError):
        return None


def _choice(remembered: Mapping[str, Any]) -> options.Choice:
    known = {key: value for key, value in remembered.items() if key in options.FIELDS}
    try:
        return options.read(known)
    except Invalid:
        # What was refused once is not offered again.
        return options.Choice()


def _may_see(user: str, dataset: DatasetView) -> bool:
    is_shared = dataset.visibility is not Visibility.PRIVATE
    return dataset.state == "ready" and (dataset.owner == user or is_shared)


def presets(capacity: CapacityView | None) -> list[Preset]:
    """Return small, medium, large and GPU, none larger than the machine."""
    most_cpu = capacity.cpu.limit if capacity else 1024.0
    most_memory = int(capacity.memory.limit) if capacity else 1 << 20

    def limited(cpu: float, memory: int, gpu: int, shm: int) -> Resources:
        return Resources(cpu=min(cpu, most_cpu), memory=min(memory, most_memory), gpu=gpu, shm=shm)

    found = [
        Preset("small", limited(1, 2048, 0, 64)),
        Preset("medium", limited(2, 4096, 0, 256)),
        Preset("large", limited(4, 8192, 0, 1024)),
    ]
    if capacity and capacity.gpu.limit >= 1:
        found.append(Preset("gpu", limited(4, 16384, 1, 2048)))
    return found


def render(scene: Scene) -> str:
    """Return the form's HTML; everything in it that a user wrote is escaped."""
    selected = _selected(scene)
    ready = [image for image in scene.images if image.state == "ready"]
    most = bounds.both(selected, scene.capacity)
    wanted = scene.choice.resources(
        selected.default_resources if selected else Resources(cpu=1, memory=2048)
    )
    resources, lowered = bounds.within(wanted, most)

    def bound_sentence(kind: str, number: float) -> str:
        return _bound_sentence(selected, kind, number)

    return (
        _jinja()
        .get_template("kpl/start_form.html")
        .render(
            scene=scene,
            selected=selected,
            resources=resources,
            lowered=lowered,
            is_own=scene.choice.names_limits,
            most=most,
            most_of_any=bounds.of_any(ready, scene.capacity),
            machine=bounds.of_machine(scene.capacity),
            bound_sentence=bound_sentence,
            presets=presets(scene.capacity),
            chips=_chips(scene.images),
        )
    )


def _bound_sentence(image: ImageView | None, kind: str, most: float) -> str:
    """Say who sets a bound: an image where it does, else the machine."""
    amount = bounds.measured(kind, most)
    if image is not None and bounds.of_image(image).get(kind) == most:
        return _GIVEN.format(image=image.title, most=amount)
    return _IN_ALL.format(most=amount)


def _chips(images: Sequence[ImageView]) -> list[str]:
    """Return what the list of images can be narrowed down to: frameworks and accelerators."""
    frameworks = sorted({image.framework for image in images if image.framework})
    accelerators = sorted({image.accelerator.upper() for image in images})
    return [chip for kinds in (accelerators, frameworks) if len(kinds) > 1 for chip in kinds]


def _selected(scene: Scene) -> ImageView | None:
    """Return the image that is chosen at first: the last one, else the default."""
    ready = [image for image in scene.images if image.state == "ready"]
    last = next((i for i in ready if i.name == scene.choice.image), None)
    return last or next((i for i in ready if i.default), ready[0] if ready else None)


@cache
def _jinja() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    found.globals |= {
        "above": bounds.above,
        "amount": bounds.amount,
        "gib": bounds.in_gib,
        "kinds": list(bounds.KINDS),
        "of_image": bounds.of_image,
        "of_pool": bounds.of_pool,
        "preset_owner": PRESET_OWNER,
    }
    return found
