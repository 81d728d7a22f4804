"""When the hub learns that the front door has taken a route."""

from __future__ import annotations

import asyncio
import time

import pytest

from kpl_lab.hub.proxy import FrontDoor


class Door(FrontDoor):
    """A front door that has a route after some seconds."""

    asked = 0

    def opens_in(self, seconds: float) -> None:
        self._begun, self._seconds = time.monotonic(), seconds

    async def _check_for_traefik_service(self, routespec: str, kind: str) -> bool:
        assert routespec == "/user/ada/"
        assert kind in ("service", "router")
        self.asked += 1
        return time.monotonic() - self._begun >= self._seconds


@pytest.mark.parametrize(("opens", "latest"), [(0.0, 0.05), (0.03, 0.1), (0.5, 1.5)])
async def test_a_route_is_noticed_soon_after_it_is_there(opens: float, latest: float) -> None:
    door = Door(public_url="http://127.0.0.1:1", dynamic_config_file="none.toml")
    door.opens_in(opens)
    begun = time.monotonic()
    await door._wait_for_route("/user/ada/")
    assert opens <= time.monotonic() - begun < latest + 0.5
    assert door.asked < 40


async def test_a_route_that_does_not_come_is_given_up() -> None:
    door = Door(
        public_url="http://127.0.0.1:1", dynamic_config_file="none.toml", check_route_timeout=1
    )
    door.opens_in(60)
    with pytest.raises(asyncio.TimeoutError):
        await door._wait_for_route("/user/ada/")
