"""Tasks, services, notebook servers and mounts."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, func, select

from kpl_lab.platform.storage.orm.work import (
    DeliveryRow,
    MountRow,
    ServerRow,
    ServiceRow,
    TaskRow,
)
from kpl_lab.platform.storage.records.steps import Held, ServerStep, TaskStep
from kpl_lab.platform.storage.records.work import (
    MountRecord,
    ServerRecord,
    ServiceRecord,
    TaskRecord,
)
from kpl_lab.platform.storage.repositories.base import (
    Reader,
    Repository,
    ResourceRepository,
)

ACTIVE_TASKS = ("queued", "preparing", "running", "stopping")
HOLDING_TASKS = ("preparing", "running", "stopping")
ACTIVE_SERVERS = ("pending", "starting", "running", "stopping")
_QUEUED = (TaskRow.state == "queued", TaskRow.desired == "run")


class TaskRepository(ResourceRepository[TaskRow, TaskRecord]):
    """Tasks."""

    row = TaskRow
    record = TaskRecord

    def active(self) -> list[TaskRecord]:
        """Return what has not ended and was sent off, and what shall be deleted."""
        return self.find(TaskRow.state.in_(ACTIVE_TASKS) | (TaskRow.desired == "delete"))

    def steps(self) -> list[TaskStep]:
        """Return how far what is being started, run, ended or deleted is; there may be thousands."""
        columns = (TaskRow.id, TaskRow.attempt, TaskRow.state, TaskRow.desired)
        condition = TaskRow.state.in_(HOLDING_TASKS) | (TaskRow.desired == "delete")
        return [TaskStep(*row) for row in self._session.execute(select(*columns).where(condition))]

    def holding(self) -> list[TaskRecord]:
        """Return what holds a part of what there is; the queue is not among it, and may be long."""
        return self.find(TaskRow.state.in_(HOLDING_TASKS))

    def held(self) -> list[Held]:
        """Return what tasks hold, as sums: there may be thousands."""
        amounts = (TaskRow.cpu, TaskRow.memory, TaskRow.gpu)
        sums = [func.sum(one * TaskRow.nodes) for one in amounts]
        whose = (TaskRow.pool, TaskRow.owner)
        statement = select(*whose, *sums).where(TaskRow.state.in_(HOLDING_TASKS)).group_by(*whose)
        return [Held._make(row) for row in self._session.execute(statement)]

    def queued(self) -> list[TaskRecord]:
        """Return what waits, in the order in which it will be taken."""
        order = (TaskRow.priority.desc(), TaskRow.id)
        return self._all(select(TaskRow).where(*_QUEUED).order_by(*order))

    def has_queued(self) -> bool:
        """Say whether anything waits."""
        found = self._session.execute(select(TaskRow.id).where(*_QUEUED).limit(1))
        return found.first() is not None

    def ahead_of(self, task: TaskRecord) -> int:
        """Return how many will be taken before one that waits; there may be thousands."""
        is_older = (TaskRow.priority == task.priority) & (TaskRow.id < task.id)
        is_first = (TaskRow.priority > task.priority) | is_older
        statement = select(func.count()).select_from(TaskRow).where(*_QUEUED, is_first)
        return self._session.execute(statement).scalar_one()

    def since(self, moment: dt.datetime) -> list[TaskRecord]:
        """Return what has been submitted since, what is a draft, and what has not ended."""
        is_open = TaskRow.state.in_(("draft", *ACTIVE_TASKS))
        return self.find(is_open | (TaskRow.created_at >= moment))

    def waiting_for(self, build_id: int) -> list[TaskRecord]:
        """Return the tasks that wait for a build."""
        return self.find(TaskRow.build_id == build_id, TaskRow.state.in_(ACTIVE_TASKS))

    def counts(self) -> dict[str, int]:
        """Return how many tasks are in each state."""
        rows = self._session.execute(select(TaskRow.state, func.count()).group_by(TaskRow.state))
        return {str(state): int(count) for state, count in rows}

    def using(self, kind: str, id: int) -> list[TaskRecord]:
        """Return the active tasks that have a dataset or model as an input."""
        return [
            task
            for task in self.active()
            if any(i["kind"] == kind and i["id"] == id for i in task.inputs)
        ]

    def note_delivery(self, task_id: int, key: str) -> bool:
        """Remember a delivery; False when it had arrived before."""
        if self._session.get(DeliveryRow, (task_id, key)) is not None:
            return False
        self._session.add(DeliveryRow(task_id=task_id, key=key))
        return True


class ServiceRepository(ResourceRepository[ServiceRow, ServiceRecord]):
    """Services; a deleted one is hidden until its last trace is gone."""

    row = ServiceRow
    record = ServiceRecord

    def listed(self) -> ColumnElement[bool]:
        """Leave out what is being deleted, and further revisions."""
        return ServiceRow.is_deleted.is_(False) & ServiceRow.service_id.is_(None)

    def resolve(self, reference: str, reader: Reader) -> ServiceRecord | None:
        """Return what an id or a name means to ``reader``."""
        found = super().resolve(reference, reader)
        return None if found is None or found.is_deleted or found.service_id else found

    def named(self, name: str, workspace_id: int) -> ServiceRecord | None:
        """Return the service of that name in a workspace."""
        found = self.find(
            ServiceRow.name == name,
            ServiceRow.workspace_id == workspace_id,
            ServiceRow.is_deleted.is_(False),
            limit=1,
        )
        return found[0] if found else None

    def every(self) -> list[ServiceRecord]:
        """Return every service and further revision, also those being deleted."""
        return self.find()

    def others(self, service_id: int) -> list[ServiceRecord]:
        """Return the further revisions of a service, also those being deleted."""
        return self.find(ServiceRow.service_id == service_id)

    def in_role(self, service_id: int, role: str) -> ServiceRecord | None:
        """Return the further revision of a service in that role."""
        found = self.find(
            ServiceRow.service_id == service_id,
            ServiceRow.role == role,
            ServiceRow.is_deleted.is_(False),
            limit=1,
        )
        return found[0] if found else None


class ServerRepository(Repository[ServerRow, ServerRecord]):
    """Notebook servers."""

    row = ServerRow
    record = ServerRecord

    def active(self) -> list[ServerRecord]:
        """Return the servers that run or are about to."""
        return self.find(ServerRow.state.in_(ACTIVE_SERVERS))

    def active_of(self, user: str, name: str) -> list[ServerRecord]:
        """Return the servers of that name of a user's that run or are about to."""
        mine = (ServerRow.user == user, ServerRow.name == name)
        return self.find(*mine, ServerRow.state.in_(ACTIVE_SERVERS))

    def held(self) -> list[Held]:
        """Return what servers hold that have their place, as sums: there may be thousands."""
        sums = [func.sum(one) for one in (ServerRow.cpu, ServerRow.memory, ServerRow.gpu)]
        whose = (ServerRow.pool, ServerRow.user)
        is_placed = ServerRow.state.in_(ACTIVE_SERVERS) & (ServerRow.state != "pending")
        statement = select(*whose, *sums).where(is_placed).group_by(*whose)
        return [Held._make(row) for row in self._session.execute(statement)]

    def steps(self) -> list[ServerStep]:
        """Return how far the servers are that run or are about to; there may be thousands."""
        statement = select(ServerRow.id, ServerRow.state).where(ServerRow.state.in_(ACTIVE_SERVERS))
        return [ServerStep(*row) for row in self._session.execute(statement)]

    def waiting(self) -> list[ServerRecord]:
        """Return the servers that asked to start and wait for room, oldest first."""
        found = self.find(ServerRow.state == "pending", ServerRow.launch.is_not(None))
        return found[::-1]

    def latest(self, user: str, name: str) -> ServerRecord | None:
        """Return the newest start of a user's server of that name."""
        found = self.find(ServerRow.user == user, ServerRow.name == name, limit=1)
        return found[0] if found else None

    def of(
        self,
        reader: Reader,
        limit: int = 200,
        *,
        user: str | None = None,
        name: str | None = None,
    ) -> list[ServerRecord]:
        """Return the servers that ``reader`` may see, newest first; of one user and name if given."""
        conditions = [] if reader.sees_all else [ServerRow.user == reader.name]
        if user is not None:
            conditions.append(ServerRow.user == user)
        if name is not None:
            conditions.append(ServerRow.name == name)
        return self.find(*conditions, limit=limit)

    def older_starts(self, kept: int) -> list[ServerRecord]:
        """Return what has ended and is not among the newest ``kept`` starts of its name."""
        place = (
            func.row_number()
            .over(partition_by=(ServerRow.user, ServerRow.name), order_by=ServerRow.id.desc())
            .label("place")
        )
        ranked = select(ServerRow.id, place).subquery()
        old = select(ranked.c.id).where(ranked.c.place > kept)
        return self.find(ServerRow.id.in_(old), ServerRow.state.in_(("stopped", "failed")))


class MountRepository(Repository[MountRow, MountRecord]):
    """Datasets in servers' file trees."""

    row = MountRow
    record = MountRecord

    def of(self, server_id: int) -> list[MountRecord]:
        """Return a server's mounts."""
        return self.find(MountRow.server_id == server_id)

    def of_dataset(self, dataset_id: int) -> list[MountRecord]:
        """Return the mounts of a dataset, wherever they are."""
        return self.find(MountRow.dataset_id == dataset_id)

    def pending(self) -> list[MountRecord]:
        """Return what shall be mounted or unmounted."""
        return self.find(MountRow.state.in_(("mounting", "unmounting")))
