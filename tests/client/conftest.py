from __future__ import annotations

from collections.abc import Iterator

import pytest

from kpl_lab.client import Client, Credentials
from tests.doubles.platform import TOKEN, Platform
from tests.doubles.server import Server, running


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Iterator[Server]:
    with running(platform) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(Credentials(server.url, TOKEN, username="ada"), retry_seconds=2) as client:
        yield client
