"""Bytes from one connection to another."""

from __future__ import annotations

import asyncio

_COPY_BYTES = 256 * 1024


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and then that no more comes."""
    while data := await reader.read(_COPY_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
