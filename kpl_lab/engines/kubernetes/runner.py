"""The Kubernetes engine's own process: ``python -m kpl_lab.engines.kubernetes.runner``.

It alone holds the cluster's credentials, listens at the gate for the agents of pods, and takes calls from
the platform's account, root and its own account on a Unix socket. Killing and restarting it loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from kpl_lab import settings as settings_module
from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.calls import Calls
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.gate import Gate, load_key
from kpl_lab.engines.kubernetes.keeping import of_owner, of_pod
from kpl_lab.engines.kubernetes.namespace import ensure_namespace
from kpl_lab.engines.kubernetes.options import KubernetesOptions, load_options
from kpl_lab.engines.kubernetes.planner import Planner, Way
from kpl_lab.engines.kubernetes.pods import OWNERS
from kpl_lab.engines.kubernetes.reflector import Reflector
from kpl_lab.engines.running.server import CallServer, run_until_asked
from kpl_lab.errors import EngineError, Unavailable
from kpl_lab.retry import backoff
from kpl_lab.settings import Settings

log = logging.getLogger(__name__)

_MOST_PORT = 65535
_EVERYWHERE = "0.0.0.0"  # noqa: S104 (the gate wants the token of a workload)


async def serve(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Take calls until cancelled; while the API server is away those that need it are told so."""
    options = load_options(settings.home, settings.cluster)
    cluster = await Cluster.open(options.namespace, context=options.context, environ=environ)
    try:
        await serve_cluster(settings, options, cluster)
    finally:
        await cluster.close()


async def serve_cluster(settings: Settings, options: KubernetesOptions, cluster: Cluster) -> None:
    """Take calls about a cluster that can be spoken to, until cancelled."""
    folder = settings.home.kubernetes
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    key = load_key(folder / "gate.key")
    host = options.connect_host or await asyncio.to_thread(own_address, cluster.host)
    port = options.gate_port or kept_port(folder / "gate.port")
    planner = Planner(settings, options, Way(host, port, key))
    calls = Calls(settings, planner, cluster)
    calls.begin()
    token = Path(options.node_token_file) if options.has_node_agents else None
    gate = Gate(key, calls.behind, token)
    await gate.open(options.gate_listen or address_of(host), port)
    log.info("pods reach the gate at %s:%s", host, port)
    reflecting = asyncio.create_task(_reflect(cluster, planner, calls))
    try:
        await CallServer(settings.home.runner_socket, planner.platform, calls).serve()
    finally:
        reflecting.cancel()
        await gate.close()
        await calls.close()


async def _reflect(cluster: Cluster, planner: Planner, calls: Calls) -> None:
    """Have the namespace, then follow what happens in it for ever."""
    for wait in backoff():
        try:
            await ensure_namespace(cluster, planner.options.pod_security)
            break
        except (EngineError, Unavailable) as error:
            calls.troubled("Namespace", error)
        await asyncio.sleep(wait)
    calls.troubled("Namespace", None)
    reflector = Reflector(
        cluster,
        {"Pod": of_pod, **dict.fromkeys(OWNERS, of_owner)},
        names.selector(planner.installation),
        calls.pods.put,
        on_trouble=calls.troubled,
    )
    following = asyncio.create_task(reflector.run())
    try:
        await reflector.synced.wait()
        calls.synced()
        await following
    finally:
        following.cancel()


def own_address(api: str) -> str:
    """Return the address from which this machine reaches the API server."""
    target = urllib.parse.urlsplit(api)
    # An address of RFC 5737, which nobody has, shows the way out where the API server is here too.
    for host, port in ((target.hostname or "", target.port or 443), ("192.0.2.1", 9)):
        with contextlib.suppress(OSError):
            found = _address_toward(host, port)
            if not ipaddress.ip_address(found).is_loopback:
                return found
    return "127.0.0.1"


def _address_toward(host: str, port: int) -> str:
    family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the kernel only chooses the way.
        probe.connect(target)
        return str(probe.getsockname()[0]).partition("%")[0]


def address_of(host: str) -> str:
    """Return the address of this machine that ``host`` names; any, where it is not one of ours."""
    try:
        family, _, _, _, target = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        found = str(target[0])
        with socket.socket(family) as probe:
            probe.bind((found, 0))
    except OSError:
        return _EVERYWHERE  # a name or an address that leads to us, through a router or a Service
    return found


def kept_port(path: Path) -> int:
    """Return a free port, the same at every start: agents that run know it."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        port = int(path.read_text())
        if 0 < port <= _MOST_PORT:
            return port
    (port,) = settings_module.free_ports(1)
    path.write_text(str(port))
    return port


async def _serve() -> None:
    await serve(settings_module.load())


def main() -> None:
    """Serve the installation that the environment names until SIGTERM."""
    run_until_asked(_serve())


if __name__ == "__main__":
    main()
