"""What routes ask for: the context, a transaction, the caller with the scope they need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated

from fastapi import Depends, Header, Request

from kpl_lab.errors import Forbidden, Unauthenticated
from kpl_lab.platform import auth, scopes
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.outlook import Outlook
from kpl_lab.platform.storage.store import Store

SCOPE_ATTRIBUTE = "kpl_scope"
ANY = "any"


def get_context(request: Request) -> Context:
    """Return the platform's parts."""
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(get_context)]


async def turn_to_write(context: ContextDep) -> AsyncIterator[None]:
    """Let only so many requests wait for the database's one writer at a time.

    Each of them waits in a thread. Were all threads waiting, the one that writes could not get
    the thread that it needs to go on, and nobody would until the database gave up.
    """
    async with context.writers:
        yield


def get_store(
    context: ContextDep, turn: Annotated[None, Depends(turn_to_write, scope="function")]
) -> Iterator[Store]:
    """Open one transaction for the request; committed before the answer is sent."""
    del turn
    with context.database.store() as store:
        yield store


def get_reading_store(context: ContextDep) -> Iterator[Store]:
    """Open a transaction that does not write, and so never waits for a writer."""
    with context.database.store(reads_only=True) as store:
        yield store


# scope="function": the transaction ends before the answer leaves, so that who has the answer
# finds the change, and a failed commit is told.
StoreDep = Annotated[Store, Depends(get_store, scope="function")]
ReadingStoreDep = Annotated[Store, Depends(get_reading_store, scope="function")]


async def ask_engine(context: ContextDep) -> Outlook:
    """Return what the engine says there is; a route names this before its store."""
    return await context.outlooks.ask()


AskedDep = Annotated[Outlook, Depends(ask_engine)]


def token_of(authorization: str | None) -> str:
    """Return the token of an Authorization header; cookies are never looked at.

    Raises
    ------
    Unauthenticated
        There is none.
    """
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() not in ("token", "bearer") or not token.strip():
        raise Unauthenticated(
            "This needs a token: send the header `Authorization: token …` "
            "(`kpl login` makes one for you)."
        )
    return token.strip()


def get_caller(
    context: ContextDep, authorization: Annotated[str | None, Header()] = None
) -> Caller:
    """Return who is calling."""
    token = token_of(authorization)
    if token.count(".") == 2:
        with context.database.store(reads_only=True) as store:
            return auth.workload_caller(store, context.jwt_key, token)
    return context.hub_tokens.caller(token)


def get_person(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    """Return a caller who is no code that runs here: that has a surface of its own.

    Raises
    ------
    Forbidden
        The token is that of a task, a service or a notebook.
    """
    if caller.is_workload:
        raise Forbidden(
            "The token of a task, service or notebook serves the calls of the runtime contract "
            "alone; use a personal token here."
        )
    return caller


def any_caller(caller: Annotated[Caller, Depends(get_person)]) -> Caller:
    """Let through everybody who is known."""
    return caller


setattr(any_caller, SCOPE_ATTRIBUTE, ANY)


def needs(scope: str) -> Callable[..., Caller]:
    """Return a dependency that lets through callers with ``scope`` and gives who they are.

    The scope is kept on it, so that the permission test can read it off the route table.
    """
    return needs_one_of(scope)


def needs_one_of(*wanted: str) -> Callable[..., Caller]:
    """Return the same for several scopes of which one is enough."""
    for scope in wanted:
        if scope not in scopes.SCOPES:
            raise ValueError(f"unknown scope {scope}")

    def check(caller: Annotated[Caller, Depends(get_person)]) -> Caller:
        if caller.scopes.isdisjoint(wanted):
            caller.require(wanted[0])
        return caller

    setattr(check, SCOPE_ATTRIBUTE, " ".join(wanted))
    return check
