"""The platform's own ports on the loopback of a container: a program that runs beside a command.

``python3 -m kpl_lab.engines.docker.doors --config FILE``; FILE is JSON: ``doors``, a list of ``port``
and ``gate`` (the Unix socket that it leads to), and ``port_file``, written when all of them are
open. So an address of the platform is the same inside and outside. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from kpl_lab.engines.running.pipes import copy


async def _on_connection(
    gate: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        inner, outer = await asyncio.open_unix_connection(gate)
        with contextlib.closing(outer):
            await asyncio.gather(copy(reader, outer), copy(inner, writer))


def _tell(port_file: str) -> None:
    fresh = Path(port_file + ".new")
    fresh.write_text("open")
    fresh.replace(port_file)


async def serve(doors: list[dict[str, Any]], port_file: str) -> None:
    """Serve until ended."""
    servers = [
        await asyncio.start_server(
            partial(_on_connection, door["gate"]), "127.0.0.1", door["port"], backlog=256
        )
        for door in doors
    ]
    _tell(port_file)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True)
    found = json.loads(parser.parse_args().config.read_text())
    asyncio.run(serve(found["doors"], found["port_file"]))


if __name__ == "__main__":
    main()
