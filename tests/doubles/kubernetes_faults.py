"""What can go wrong with an API server, to be set by tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.doubles.kubernetes_store import KINDS, Json, Refusal, full_name

REASONS = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "it is forbidden"),
    409: ("Conflict", "Operation cannot be fulfilled: the object has been modified"),
    410: ("Expired", "too old resource version: 1 (100)"),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: leader changed"),
    502: ("", "bad gateway"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within requested timeout"),
    507: ("InsufficientStorage", "insufficient storage"),
}


@dataclass
class Fault:
    """The next requests of a kind that are answered with an error; ``cut``: the connection breaks."""

    verb: str
    kind: str
    status: int
    times: int
    retry_after: str = ""
    message: str = ""
    cut: bool = False

    def takes(self, verb: str, kind: str) -> bool:
        """Say whether a request is one of them, and count it."""
        if self.times <= 0 or self.verb not in ("", verb) or self.kind not in ("", kind):
            return False
        self.times -= 1
        return True

    def refusal(self) -> Refusal:
        """Return what is answered."""
        reason, message = REASONS[self.status]
        return Refusal(self.status, reason, self.message or message)


class Cut(Exception):
    """The connection breaks without an answer."""


@dataclass
class Faults:
    """What goes wrong at present.

    Attributes
    ----------
    forbidden
        Verb and plural that the account may not, ``("list", "nodes")``, ``("get", "pods/log")``.
    denied
        Kind and what a webhook says to each that is made or changed.
    cut_after
        Kind, and after how many events its next watch breaks.
    deaf
        Kinds whose watches bring nothing, not even bookmarks, while they stay open.
    untold
        Names of objects of whose end no watch says a word.
    silent_end
        Whether watches end without a last bookmark.
    ready
        Cleared: everything is answered with 503, as while the server starts.
    """

    planned: list[Fault] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    denied: dict[str, str] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    silent_end: bool = False
    ready: bool = True
    held: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)

    def fail(
        self,
        status: int,
        verb: str = "",
        kind: str = "",
        *,
        times: int = 1,
        retry_after: str = "",
        message: str = "",
    ) -> None:
        """Answer the next requests (all verbs and kinds where empty) with a status."""
        self.planned.append(Fault(verb, kind, status, times, retry_after, message))

    def cut(self, verb: str = "", kind: str = "", *, times: int = 1) -> None:
        """Break the next connections without an answer."""
        self.planned.append(Fault(verb, kind, 500, times, cut=True))

    def hold(self, verb: str, kind: str) -> asyncio.Event:
        """Let requests wait until the event is set."""
        self.held[verb, kind] = asyncio.Event()
        return self.held[verb, kind]

    def check(self, verb: str, kind: str) -> Fault | None:
        """Return the fault that a request meets, if there is one."""
        if not self.ready:
            return Fault(verb, kind, 503, 0)
        return next((fault for fault in self.planned if fault.takes(verb, kind)), None)

    def check_allowed(self, verb: str, kind: str, place: tuple[str, str], part: str = "") -> None:
        """Refuse what the account may not; ``place`` is namespace and name."""
        api, plural, namespaced = KINDS[kind]
        resource = f"{plural}/{part}" if part else plural
        if (verb, resource) not in self.forbidden:
            return
        namespace, name = place
        named = f'{full_name(kind)} "{name}"' if name else full_name(kind)
        where = f'in the namespace "{namespace}"' if namespaced else "at the cluster scope"
        text = f'{named} is forbidden: User "system:serviceaccount:kpl-lab:kpl-lab" cannot {verb} resource "{resource}" in API group "{api.rpartition("/")[0]}" {where}'
        raise Refusal(403, "Forbidden", text)

    def admit(self, verb: str, obj: Json) -> None:
        """Refuse what the webhook denies."""
        said = self.denied.get(obj["kind"])
        if said is not None:
            text = f'admission webhook "policy.example.org" denied the request: {said}'
            raise Refusal(403, "Forbidden", text)
