"""Where a container is, in a network of Docker's."""

from __future__ import annotations

from typing import Any


def address_of(info: dict[str, Any], network: str) -> str:
    """Return a running container's address in ``network``; the loopback where it has none."""
    networks = info["NetworkSettings"]["Networks"]
    return str(networks.get(network, {}).get("IPAddress") or "127.0.0.1")
