"""What the double of the platform knows of a service's revisions: they are ready at once."""

from __future__ import annotations

from typing import Any

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.schemas.services import RevisionCreate, TrafficUpdate

Row = dict[str, Any]


def revision(row: Row, number: int, role: str, **facts: Any) -> Row:
    """Return a revision with what it has in common with its service."""
    same = ("replicas", "code_name", "resources", "parameters", "environment", "instances")
    made = {name: row[name] for name in same} | {"number": number, "role": role}
    return made | {"state": "running", "ready": row["replicas"], "weight": 0} | facts


class Revisions:
    """The revisions of one service.

    ``end`` is what becomes of the next candidate: its state, and why.
    """

    def __init__(self, row: Row, end: tuple[str, str | None]) -> None:
        self._row = row
        self._end = end
        found = row.get("revisions") or [revision(row, 1, "current", weight=100)]
        self._by_role: dict[str, Row] = {one["role"]: one for one in found}

    def answer(self, method: str, rest: list[str], body: Any) -> bool:
        """Do what was asked; tell whether it was asked of revisions at all."""
        match (method, rest):
            case ("POST", ["revisions"]):
                self._add(RevisionCreate.model_validate(body))
            case ("PUT", ["traffic"]):
                self._in_role("candidate")["weight"] = TrafficUpdate.model_validate(body).weight
            case ("POST", ["promote"]):
                self._promote()
            case ("POST", ["rollback"]):
                self._by_role["candidate"] = self._in_role("previous") | {"role": "candidate"}
                self._promote()
            case ("DELETE", ["revisions", role]):
                self._in_role(role)
                del self._by_role[role]
            case _:
                return False
        self._row["revisions"] = list(self._by_role.values())
        return True

    def _in_role(self, role: str) -> Row:
        if role not in self._by_role:
            raise NotFound(f"There is no {role} revision.", code="no_revision")
        return self._by_role[role]

    def _add(self, body: RevisionCreate) -> None:
        if "candidate" in self._by_role:
            raise Conflict("There is a candidate already.", code="has_candidate")
        number = 1 + max(one["number"] for one in self._by_role.values())
        state, message = self._end
        facts = {"weight": body.weight, "model": body.model, "state": state, "message": message}
        self._by_role["candidate"] = revision(self._row, number, "candidate", **facts)
        if body.promote and state == "running":
            self._promote()

    def _promote(self) -> None:
        candidate = self._in_role("candidate")
        current = self._by_role["current"] | {"role": "previous", "state": "stopped", "weight": 0}
        del self._by_role["candidate"]
        self._by_role |= {"current": candidate | {"role": "current"}, "previous": current}
