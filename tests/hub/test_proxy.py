"""When the hub learns that the front door has taken a route."""

from __future__ import annotations

import asyncio
import time

import pytest
from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy

from kpl_lab.hub.proxy import FrontDoor


class Door(FrontDoor):
    """A front door that has a route after some seconds."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            public_url="http://127.0.0.1:1", dynamic_config_file="none.toml", **options
        )
        self.asked: list[float] = []

    def opens_in(self, seconds: float) -> None:
        self._begun, self._seconds = time.monotonic(), seconds

    async def _check_for_traefik_service(self, routespec: str, kind: str) -> bool:
        assert routespec == "/user/ada/"
        assert kind in ("service", "router")
        self.asked.append(time.monotonic() - self._begun)
        return time.monotonic() - self._begun >= self._seconds


@pytest.mark.parametrize("opens", [0.0, 0.03, 0.5])
async def test_a_route_is_noticed_after_it_is_there(opens: float) -> None:
    door = Door()
    door.opens_in(opens)
    await door._wait_for_route("/user/ada/")
    assert opens <= door.asked[-1]
    assert len(door.asked) < 40


async def test_a_quick_route_is_not_left_to_the_slower_looks_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[str] = []

    async def wait(_: object, routespec: str) -> None:
        left.append(routespec)

    monkeypatch.setattr(TraefikFileProviderProxy, "_wait_for_route", wait)
    for opens in (0.03, 60):
        door = Door()
        door.opens_in(opens)
        await door._wait_for_route("/user/ada/")
        assert left == (["/user/ada/"] if opens == 60 else [])


async def test_a_route_that_does_not_come_is_given_up() -> None:
    door = Door(check_route_timeout=1)
    door.opens_in(60)
    with pytest.raises(asyncio.TimeoutError):
        await door._wait_for_route("/user/ada/")
