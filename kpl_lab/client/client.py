"""The client: one address, one token, one attribute per resource."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType

import httpx

from kpl_lab.client.algorithms import Algorithms
from kpl_lab.client.builds import Builds
from kpl_lab.client.credentials import Credentials, find_credentials
from kpl_lab.client.datasets import Datasets
from kpl_lab.client.events import Events
from kpl_lab.client.images import Images
from kpl_lab.client.models import Models
from kpl_lab.client.servers import Servers
from kpl_lab.client.services import Services
from kpl_lab.client.tasks import Tasks
from kpl_lab.client.transport import DEFAULT_RETRY_SECONDS, Transport
from kpl_lab.client.uploads import Uploads
from kpl_lab.schemas.servers import CapacityView, Me, VersionView


class Client:
    """The platform as Python objects.

    Parameters
    ----------
    credentials
        Address and token.
    transport
        An httpx transport in place of the network, so that users of this can test
        (``httpx.MockTransport``).
    retry_seconds
        For how long requests that may be repeated are tried while nobody answers.

    Attributes
    ----------
    datasets, models, algorithms, images, builds, tasks, services, servers
        The resources.
    uploads, events
        Bytes that become resources; what happens to them.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        transport: httpx.BaseTransport | None = None,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
    ) -> None:
        self.credentials = credentials

        def to(url: str) -> Transport:
            return Transport(
                url, credentials.token, transport=transport, retry_seconds=retry_seconds
            )

        self._api = to(credentials.api_url)
        self._hub = to(credentials.hub_api_url)
        self._front_door = to(credentials.url)
        self.uploads = Uploads(self._api)
        self.events = Events(self._api)
        shared = (self._api, self.uploads, self.events)
        self.datasets = Datasets(*shared)
        self.models = Models(*shared)
        self.algorithms = Algorithms(*shared)
        self.images = Images(*shared)
        self.builds = Builds(*shared)
        self.tasks = Tasks(*shared)
        self.services = Services(*shared, front_door=self._front_door)
        self.servers = Servers(self._api, self._hub, self.events)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for transport in (self._api, self._hub, self._front_door):
            transport.close()

    def version(self) -> VersionView:
        """Return what answers."""
        return self._api.get("/version", VersionView)

    def me(self) -> Me:
        """Return whom the token belongs to and what it covers."""
        return self._api.get("/me", Me)

    def capacity(self) -> CapacityView:
        """Return what is promised and what is free."""
        return self._api.get("/capacity", CapacityView)


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Client:
    """Return a client for the address and token that are found (see ``credentials``).

    Raises
    ------
    Unauthenticated
        There is no token anywhere.
    """
    variables = os.environ if environment is None else environment
    return Client(find_credentials(variables, url=url, token=token))
