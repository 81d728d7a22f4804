"""Which revisions of a service the front door sends calls to, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.platform.runtime.frontdoor import routes
from kpl_lab.platform.storage.records.work import ServiceRecord


def record(id: int, ready: int, **facts: Any) -> ServiceRecord:
    """Return a row of a service with so many ready replicas."""
    names = ServiceRecord.__dataclass_fields__
    values: dict[str, Any] = dict.fromkeys(names) | {
        "id": id,
        "workspace_id": 1,
        "name": "s",
        "access": "public",
    }
    ports = range(id * 10, id * 10 + ready)
    instances = [{"state": "ready", "address": f"r:{port}"} for port in ports]
    values |= {"is_wanted": True, "is_deleted": False, "role": "current", "weight": 0}
    return ServiceRecord(**(values | {"instances": instances} | facts))


CURRENT = [{"url": "http://r:70"}]
THEIRS = [{"url": "http://r:90"}, {"url": "http://r:91"}]


@pytest.mark.parametrize(
    ("current", "candidate", "weight", "shares"),
    [
        (1, 2, 0, [CURRENT]),
        (1, 2, 30, [(70, CURRENT), (30, THEIRS)]),
        (1, 2, 100, [THEIRS]),
        (1, 0, 30, [CURRENT]),
        (1, 0, 100, [CURRENT]),
        (0, 2, 30, [THEIRS]),
        (0, 2, 0, []),
        (0, 0, 30, []),
    ],
)
def test_who_gets_calls(current: int, candidate: int, weight: int, shares: list[Any]) -> None:
    found = [
        record(9, candidate, service_id=7, role="candidate", name="s#candidate", weight=weight),
        record(8, 1, service_id=7, role="previous", name="s#previous", is_wanted=False),
        record(7, current),
    ]
    http = routes(found, {1: "default"}, "http://p/kpl/api/v1")["http"]
    assert [name for name in http["routers"] if name.startswith("kpl-svc")] == ["kpl-svc-7"]
    target = http["services"].get("kpl-svc-7")
    if not shares:
        assert target is None
        assert "kpl-no-replica" in http["routers"]["kpl-svc-7"]["middlewares"]
    elif len(shares) == 1:
        assert target == {"loadBalancer": {"servers": shares[0]}}
    else:
        parts = target["weighted"]["services"]
        told = [
            (part["weight"], http["services"][part["name"]]["loadBalancer"]["servers"])
            for part in parts
        ]
        assert told == shares
