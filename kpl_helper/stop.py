"""A task or notebook server that ends itself."""

from __future__ import annotations

from kpl_helper._sender import current_sender
from kpl_helper.base import get_config, logger


def kill() -> None:
    """Ask the platform to stop this task or notebook server; metrics are flushed before.

    Outside the platform nothing happens.

    Raises
    ------
    NotOnPlatformError
        When the environment does not say where the platform is.
    PlatformUnreachableError
        When it does not answer.
    PlatformRefusedError
        When it says no.
    """
    config = get_config()
    if not config.inner:
        logger.info("[kpl-helper]: not on the platform; nothing to stop")
        return
    sender = current_sender()
    if sender is not None:
        sender.flush()
    from kpl_helper._buffer import dumps
    from kpl_helper._http import Connection

    connection = Connection(config, timeout=30.0)
    try:
        connection.post_json("/task/stop", dumps({"task_id": config.task_id}))
    finally:
        connection.close()
