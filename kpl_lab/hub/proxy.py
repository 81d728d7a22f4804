"""The front door as the hub sees it."""

from __future__ import annotations

import asyncio
from itertools import islice

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy

from kpl_lab.retry import backoff

# A new route is there after some 30 ms; the library first asks again after up to 200.
_FIRST_SECONDS, _LOOKS = 0.01, 6


class FrontDoor(TraefikFileProviderProxy):  # type: ignore[misc]  # JupyterHub has no types
    """Traefik and its file of routes, asked early whether it has taken a new one."""

    async def _wait_for_route(self, routespec: str) -> None:
        for wait in islice(backoff(_FIRST_SECONDS, factor=1.5), _LOOKS):
            await asyncio.sleep(wait)
            if await self._has(routespec):
                return
        await super()._wait_for_route(routespec)

    async def _has(self, routespec: str) -> bool:
        kinds = ("service", "router")
        return all([await self._check_for_traefik_service(routespec, one) for one in kinds])
