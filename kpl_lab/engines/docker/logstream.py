"""The daemon's form of a container's output: pieces of two streams, each with its time."""

from __future__ import annotations

import calendar
import struct
import time

from kpl_lab.engines.running.logfile import LogPart

_FRAME = struct.Struct(">BxxxL")  # which of the two, how many bytes


def parts_of(data: bytes) -> tuple[list[LogPart], bytes]:
    """Cut a multiplexed stream into its whole pieces and what is left."""
    found, place = [], 0
    while place + _FRAME.size <= len(data):
        stream, size = _FRAME.unpack_from(data, place)
        end = place + _FRAME.size + size
        if end > len(data):
            break
        moment, _, text = data[place + _FRAME.size : end].partition(b" ")
        found.append(LogPart(moment.decode(), text, stream))
        place = end
    return found, data[place:]


def unix_time(timestamp: str) -> str:
    """Return an RFC 3339 time with nanoseconds as the daemon takes it: seconds since 1970."""
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return f"{seconds}.{rest or '0':0<9}"
