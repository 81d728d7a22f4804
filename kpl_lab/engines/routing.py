"""How calls reach a service past the platform's own front door, where an engine has such a way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way of calls to one service that anybody may call.

    Attributes
    ----------
    name
        A slug that no other route has.
    path
        What its addresses begin with, without a slash at the end; replicas see what follows it.
    shares
        Percent of the calls by the name of the workload that answers them; none is 0.
    request_without, answer_without
        Headers that a replica is not to see, and those that a caller is not to.
    answer_with
        Headers that every answer has, whatever the replica says.
    """

    name: str
    path: str
    shares: Mapping[str, int]
    request_without: tuple[str, ...] = ()
    answer_without: tuple[str, ...] = ()
    answer_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RouteState:
    """What has become of a route.

    Attributes
    ----------
    is_taken
        Calls go this way; otherwise the front door takes them.
    leads_to
        The workloads that may still get calls by it, former ones too.
    message
        Why it is not taken, as a sentence; empty: there is nothing to say.
    is_settled
        Nothing changes before something else does.
    is_known
        ``leads_to`` are all of them; False: what there is was not read yet.
    """

    name: str
    is_taken: bool
    leads_to: tuple[str, ...] = ()
    message: str = ""
    is_settled: bool = True
    is_known: bool = True
