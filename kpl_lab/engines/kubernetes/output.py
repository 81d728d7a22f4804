"""What a container of the cluster prints, as pieces for a log file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.forms import LogQuery
from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.running.logfile import LogPart

# Of an RFC 3339 time without its fraction.
_SECONDS = len("2026-11-22T02:44:05")


async def output(
    cluster: Cluster, pod: str, since: str | None, *, follow: bool
) -> AsyncGenerator[list[LogPart], None]:
    """Yield what the command of a pod prints from a time on; with ``follow`` until it ends.

    The API takes whole seconds: what came earlier in the same second is left out here.
    """
    whole = "" if since is None else since[:_SECONDS] + "Z"
    wanted = LogQuery(follow=follow, timestamps=True, since_time=whole)
    rest = b""
    async with aclosing(cluster.log(pod, COMMAND_CONTAINER, wanted)) as stream:
        async for data in stream:
            *lines, rest = (rest + data).split(b"\n")
            yield [part for line in lines if _is_new(part := _part(line + b"\n"), since)]
    if rest and _is_new(part := _part(rest), since):
        yield [part]


def _part(line: bytes) -> LogPart:
    """Cut a line into its time and its text."""
    moment, _, text = line.partition(b" ")
    return LogPart(_even(moment.decode("ascii", "replace")), text)


def _even(moment: str) -> str:
    """Return a time with nine digits after the point: Kubernetes leaves zeros at the end away."""
    whole, _, rest = moment.rstrip("Z").partition(".")
    return f"{whole}.{rest:0<9}Z"


def _is_new(part: LogPart, since: str | None) -> bool:
    return since is None or part.time >= since
