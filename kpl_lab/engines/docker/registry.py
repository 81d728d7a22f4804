"""References of images, and how a daemon is told of registries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator

from kpl_lab.engines.spec import RegistryLogin
from kpl_lab.formats.image_reference import familiar


class Sending:
    """Names that images have here only while they are sent to a registry.

    Whoever starts from one of these names meanwhile waits: it means what the registry has.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def held(self, reference: str) -> AsyncGenerator[None, None]:
        """Keep everybody from a name, once nobody else does."""
        name = familiar(reference)
        async with self._changed:
            await self._changed.wait_for(lambda: name not in self._names)
            self._names.add(name)
        try:
            yield
        finally:
            self._names.discard(name)
            async with self._changed:
                self._changed.notify_all()

    async def free(self, reference: str) -> None:
        """Wait until a name means what it always means."""
        async with self._changed:
            await self._changed.wait_for(lambda: familiar(reference) not in self._names)


def split_reference(reference: str) -> tuple[str, str]:
    """Return repository and tag of a reference; the tag is ``latest`` where it has none."""
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag or "latest"


def auth_header(login: RegistryLogin | None) -> dict[str, str]:
    """Return the header in which the daemon is told what a registry lets us in with."""
    given = {} if login is None else {"username": login.username, "password": login.password}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(given).encode()).decode()}
