"""How the installation is, in numbers, as a scraper wants them: read from the database at the scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import Metric

from kpl_lab import __version__
from kpl_lab.engines.spec import Capacity
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain.capacity import books
from kpl_lab.platform.domain.servers import ALIVE
from kpl_lab.platform.domain.tasks import TRANSITIONS
from kpl_lab.platform.storage.repositories.census import CensusRepository
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.builds import BuildState
from kpl_lab.schemas.services import ServiceState
from kpl_lab.telemetry.catalog import PROCESS, Entry, state

_MIB = 1 << 20
_SERVER_STATES = (*ALIVE, "stopped", "failed")
_IMAGE_STATES = ("preparing", "ready", "failed", "offline")

BUILD_INFO = state(
    "build_info", "1, with the version that runs and the engine.", "version", "engine"
)
DATABASE_UP = state("database_up", "1 where the database answered this scrape.")
ENGINE_UP = state("engine_up", "1 where the engine said at this scrape what there is in all.")
PROCESS_UP = state("process_up", "1 where the process answered this scrape.", PROCESS)
TASKS = state("tasks", "Tasks, by state; those that ended count until they are deleted.", "state")
QUEUE_LENGTH = state("task_queue_length", "Tasks that wait in the queue.")
QUEUE_AGE = state(
    "task_queue_oldest_seconds",
    "Seconds that the oldest task of the queue has waited; 0: none does.",
)
SERVERS = state(
    "servers", "Notebook servers, by state; of those that ended the latest starts.", "state"
)
SERVICES = state("services", "Services, by state.", "state")
REPLICAS = state("service_replicas", "Replicas of services: wanted, and ready.", "state")
BUILDS = state("builds", "Builds, by state; those that ended count too.", "state")
IMAGES = state(
    "images", "Images of the catalog, by state and where they come from.", "state", "source"
)
CPU = state(
    "capacity_cpu_cores",
    "CPU cores that may be promised: total, used by promises, and free.",
    "amount",
)
MEMORY = state("capacity_memory_bytes", "The same of memory.", "amount")
GPU = state("capacity_gpus", "The same of GPUs.", "amount")


def about(context: Context) -> Metric:
    """Return what runs."""
    family = BUILD_INFO.family()
    family.add_metric((__version__, context.settings.engine), 1)
    return family


def flag(entry: Entry, values: Mapping[tuple[str, ...], bool]) -> Metric:
    """Return a family of ones and zeros, by labels."""
    family = entry.family()
    for labels, is_so in values.items():
        family.add_metric(labels, float(is_so))
    return family


def count(store: Store) -> list[Metric]:
    """Return what there is of everything: counted by the database, so that rows are not loaded."""
    census = CensusRepository(store.session)
    length, since = census.queue()
    waited = max((store.now() - since).total_seconds(), 0.0) if since is not None else 0.0
    images = IMAGES.family()
    for labels, number in sorted(census.images().items()):
        images.add_metric(labels, number)
    return [
        _by_state(TASKS, tuple(TRANSITIONS), census.tasks()),
        _plain(QUEUE_LENGTH, length),
        _plain(QUEUE_AGE, waited),
        _by_state(SERVERS, _SERVER_STATES, census.servers()),
        _by_state(SERVICES, tuple(ServiceState), census.services()),
        _by_state(REPLICAS, ("wanted", "ready"), census.replicas()),
        _by_state(BUILDS, tuple(BuildState), census.builds()),
        images,
    ]


def promised(store: Store, context: Context, capacity: Capacity) -> Iterator[Metric]:
    """Yield what there is in all, and what of it is promised."""
    book = books(store, context, capacity).whole
    for entry, kind, unit in ((CPU, "cpu", 1), (MEMORY, "memory", _MIB), (GPU, "gpu", 1)):
        family = entry.family()
        for amount, amounts in (("total", book.limit), ("used", book.used), ("free", book.free)):
            # Less than nothing is free where the machine became smaller.
            family.add_metric((amount,), max(getattr(amounts, kind), 0) * unit)
        yield family


def _by_state(entry: Entry, known: Sequence[str], found: Mapping[str, int]) -> Metric:
    """Return a number for each state, also where there is none: series do not vanish."""
    family = entry.family()
    for one in dict.fromkeys([*map(str, known), *sorted(found)]):
        family.add_metric((one,), found.get(one, 0))
    return family


def _plain(entry: Entry, value: float) -> Metric:
    family = entry.family()
    family.add_metric((), value)
    return family
