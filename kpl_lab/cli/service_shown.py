"""How ``kpl service`` shows services."""

from __future__ import annotations

from collections.abc import Sequence

from kpl_lab.cli.output import Column, age_text, remedy_text, state_text
from kpl_lab.schemas.services import RevisionRole, ServiceDetail, ServiceView
from kpl_lab.schemas.tasks import TaskInput


def ready_text(service: ServiceView) -> str:
    """Return how many replicas are ready, of how many."""
    return f"{service.ready}/{service.replicas}"


def _instances_text(service: ServiceDetail) -> str:
    words = [
        f"replica {one.index}: {one.state}" + (f" ({one.message})" if one.message else "")
        for one in service.instances
    ]
    return ", ".join(words) or "-"


def _revisions_text(service: ServiceDetail) -> str:
    words = [
        f"{one.number}: {one.role.value}, {one.state.value}, {one.weight} % of the calls"
        + (f" ({one.message})" if one.message and one.role is RevisionRole.CANDIDATE else "")
        for one in service.revisions
    ]
    return "; ".join(words) or "-"


def input_texts(inputs: Sequence[TaskInput]) -> list[tuple[str, str]]:
    """Return inputs as services take them: key, and ``kind:NAME[:VERSION]``."""
    return [
        (one.key, f"{one.kind}:{one.name}" + (f":{one.version}" if one.version else ""))
        for one in inputs
    ]


LIST = (
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("READY", text=ready_text),
    Column("MODEL", "model"),
    Column("CODE", text=lambda service: service.algorithm or service.code_name),
    Column("URL", "url"),
    Column("CREATED", "created_at", age_text),
)
SHOW = (
    *LIST[:1],
    Column("ID", "id"),
    *LIST[1:],
    Column("ACCESS", "access"),
    Column("REPLICAS", text=_instances_text),
    Column("REVISIONS", text=_revisions_text),
    Column("POOL", "pool"),
    Column("OWNER", "owner"),
    Column("ABOUT", "description"),
    Column("WHY", "message"),
    Column("DO", "remedy", remedy_text),
)
