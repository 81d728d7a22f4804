"""The unit of work: one transaction, one repository per resource."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cached_property

from sqlalchemy.orm import Session

from kpl_lab.clock import Clock
from kpl_lab.platform.storage.repositories import assets, work
from kpl_lab.platform.storage.repositories.base import lock
from kpl_lab.platform.storage.repositories.images import ImageRepository
from kpl_lab.platform.storage.repositories.leases import LeaseRepository
from kpl_lab.platform.storage.repositories.marks import MarkRepository
from kpl_lab.platform.storage.repositories.metrics import MetricRepository
from kpl_lab.platform.storage.repositories.workspaces import (
    EventRepository,
    IdempotencyRepository,
    TokenRepository,
    WorkspaceRepository,
)


class Store:
    """Everything that is stored, inside one transaction.

    Parameters
    ----------
    session
        The transaction; ``Database.store`` opens, commits and closes it.
    clock
        Where times of new rows come from.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self.clock = clock
        self.events = EventRepository(session, clock)
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, action: Callable[[], None]) -> None:
        """Do something that cannot be rolled back (remove files) once the transaction holds.

        It may be lost with the process; ``domain.housekeeping`` finds what was left behind.
        """
        self._after_commit.append(action)

    def run_after_commit(self) -> None:
        """Do what was put off; called by ``Database.store`` alone."""
        while self._after_commit:
            self._after_commit.pop(0)()

    def lock(self, name: str) -> None:
        """Be the only writing transaction with this lock until the end of this one."""
        lock(self._session, name)

    @property
    def session(self) -> Session:
        """The transaction itself, for repositories alone."""
        return self._session

    def now(self) -> dt.datetime:
        """Return the present as an aware UTC time."""
        return self.clock.now()

    @cached_property
    def workspaces(self) -> WorkspaceRepository:
        """Workspaces."""
        return WorkspaceRepository(self._session)

    @cached_property
    def tokens(self) -> TokenRepository:
        """Tokens of tasks, services and notebooks."""
        return TokenRepository(self._session)

    @cached_property
    def idempotency(self) -> IdempotencyRepository:
        """What creates with a key have made."""
        return IdempotencyRepository(self._session, self.clock)

    @cached_property
    def leases(self) -> LeaseRepository:
        """Which process does alone what only one may do."""
        return LeaseRepository(self._session, self.clock)

    @cached_property
    def marks(self) -> MarkRepository:
        """Words that the installation has to know of itself."""
        return MarkRepository(self._session)

    @cached_property
    def uploads(self) -> assets.UploadRepository:
        """Bytes on their way in."""
        return assets.UploadRepository(self._session)

    @cached_property
    def datasets(self) -> assets.DatasetRepository:
        """Datasets."""
        return assets.DatasetRepository(self._session)

    @cached_property
    def dataset_versions(self) -> assets.DatasetVersionRepository:
        """Versions of datasets."""
        return assets.DatasetVersionRepository(self._session)

    @cached_property
    def models(self) -> assets.ModelRepository:
        """Models."""
        return assets.ModelRepository(self._session)

    @cached_property
    def model_versions(self) -> assets.ModelVersionRepository:
        """Versions of models."""
        return assets.ModelVersionRepository(self._session)

    @cached_property
    def algorithms(self) -> assets.AlgorithmRepository:
        """Algorithms."""
        return assets.AlgorithmRepository(self._session)

    @cached_property
    def algorithm_versions(self) -> assets.AlgorithmVersionRepository:
        """Versions of algorithms."""
        return assets.AlgorithmVersionRepository(self._session)

    @cached_property
    def builds(self) -> assets.BuildRepository:
        """Makings of environments."""
        return assets.BuildRepository(self._session)

    @cached_property
    def images(self) -> ImageRepository:
        """The image catalog."""
        return ImageRepository(self._session)

    @cached_property
    def tasks(self) -> work.TaskRepository:
        """Tasks."""
        return work.TaskRepository(self._session)

    @cached_property
    def services(self) -> work.ServiceRepository:
        """Services."""
        return work.ServiceRepository(self._session)

    @cached_property
    def servers(self) -> work.ServerRepository:
        """Notebook servers."""
        return work.ServerRepository(self._session)

    @cached_property
    def mounts(self) -> work.MountRepository:
        """Datasets in servers' file trees."""
        return work.MountRepository(self._session)

    @cached_property
    def metrics(self) -> MetricRepository:
        """The curves of tasks."""
        return MetricRepository(self._session)
