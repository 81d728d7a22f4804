"""What the processes of the platform write about themselves, line by line."""

from __future__ import annotations

import logging

# They tell every request that they send, and the platform asks hub and cluster all the time.
TALKATIVE = ("httpx", "httpcore")


def begin() -> None:
    """Write log lines to stderr from now on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
