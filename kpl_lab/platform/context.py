"""What a running platform consists of: handed to the API and to the controller."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.engines.base import Engine
from kpl_lab.formats.pools_yml import PoolsFile
from kpl_lab.platform.auth import HubTokens
from kpl_lab.platform.events import Bell, Nudge
from kpl_lab.platform.outlook import Outlooks
from kpl_lab.platform.settings import PlatformOptions, load_options
from kpl_lab.platform.storage.bucket import Bucket
from kpl_lab.platform.storage.cached import CachedFiles
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.remote import Remote
from kpl_lab.settings import Secret, Settings

# Well below the 40 threads in which requests are served.
WRITERS = 8
# The controller's imports, collections and fetches at once, and one for the tidying of the bucket.
TRANSFERS = 8


@dataclass(frozen=True)
class Context:
    """The parts that everything else is built on.

    Attributes
    ----------
    jwt_key
        Signs the tokens of tasks, services and notebooks.
    at_rest_key
        Encrypts what is stored of users' secrets.
    writers
        How many requests may wait for the database's writer at once.
    transfers
        Threads for what talks to the object storage, which may take hours.
    """

    settings: Settings
    options: PlatformOptions
    database: Database
    files: FileStore
    engine: Engine
    hub_tokens: HubTokens
    jwt_key: str
    at_rest_key: str
    clock: Clock
    nudge: Nudge
    pools: PoolsFile
    bell: Bell = field(default_factory=Bell)
    writers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))
    transfers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(TRANSFERS, thread_name_prefix="transfer")
    )

    @property
    def allows_image_fallback(self) -> bool:
        """Whether the default image stands in for one that nobody knows."""
        chosen = self.options.allow_image_fallback
        return self.settings.engine == "local" if chosen is None else chosen

    @cached_property
    def outlooks(self) -> Outlooks:
        """What requests ask the engine for."""
        return Outlooks(self.engine)

    def close(self) -> None:
        """Close database and connections."""
        self.hub_tokens.close()
        self.database.close()
        self.nudge.close()
        self.files.close()
        self.transfers.shutdown(wait=False, cancel_futures=True)


def open_files(settings: Settings) -> FileStore:
    """Return where the installation keeps its files."""
    if not settings.storage_url:
        return FileStore(settings.home.storage)
    return CachedFiles(settings.home.storage, Remote(Bucket(settings.storage_url)))


def create_context(settings: Settings, engine: Engine, clock: Clock = SYSTEM_CLOCK) -> Context:
    """Open everything of the installation that ``settings`` names."""
    options = load_options(settings.home)
    database = Database(settings.sqlalchemy_url, clock)
    nudge = Nudge(settings.home)
    if not database.is_shared:  # it tells everybody by itself
        database.on_events(nudge)
    hub_tokens = HubTokens(
        settings.hub_api_url,
        settings.home.read_secret(Secret.HUB_TO_PLATFORM),
        clock,
        fresh_seconds=options.token_cache_seconds,
        stale_seconds=options.token_stale_seconds,
    )
    return Context(
        settings=settings,
        options=options,
        database=database,
        files=open_files(settings),
        engine=engine,
        hub_tokens=hub_tokens,
        jwt_key=settings.home.read_secret(Secret.JWT),
        at_rest_key=settings.home.read_secret(Secret.AT_REST),
        clock=clock,
        nudge=nudge,
        pools=PoolsFile(settings.home.root, clock),
    )
