"""Says who holds a port that we need."""

from __future__ import annotations

import socket

import psutil

from kpl_lab.errors import Conflict
from kpl_lab.settings import LOOPBACK, Settings


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Say whether we could listen on a port."""
    with socket.socket() as probe:
        # As the servers do: a port whose former connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Return words for the process that listens on ``port``, or nothing where it is hidden."""
    try:
        for found in psutil.net_connections("tcp"):
            if found.status != psutil.CONN_LISTEN or not found.laddr or not found.pid:
                continue
            if found.laddr[1] == port:
                return f"the process {psutil.Process(found.pid).name()} (pid {found.pid})"
    except psutil.Error:
        return ""
    return ""


def require_free(settings: Settings, *, public: bool, private: bool) -> None:
    """Refuse to start where somebody else listens on a port of ours.

    Raises
    ------
    Conflict
        Names the port, who holds it where that can be known, and what to do.
    """
    ports = settings.ports
    if public and not is_free(ports.public, settings.listen):
        who = holder(ports.public) or "another process"
        raise Conflict(
            f"Port {ports.public} is taken by {who}. End it, or choose another port: "
            f"KPL_PORT={ports.public + 1} make up",
            code="port_taken",
            detail={"port": ports.public},
        )
    for port in (ports.hub, ports.platform, ports.frontdoor_api):
        if private and not is_free(port):
            who = holder(port) or "another process"
            raise Conflict(
                f"Port {port}, which this installation has picked for itself, is taken by {who}. "
                f"End it, or remove {settings.home.settings} so that new ports are picked.",
                code="port_taken",
                detail={"port": port},
            )
