"""``python -m kpl_lab.platform``: the API on the loopback."""

from __future__ import annotations

import logging

import uvicorn

from kpl_lab import settings as installation
from kpl_lab.engines.registry import create_engine
from kpl_lab.platform.app import create_app
from kpl_lab.platform.context import create_context


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = installation.load()
    context = create_context(settings, create_engine(settings))
    try:
        uvicorn.run(
            create_app(context),
            host="127.0.0.1",
            port=settings.ports.platform,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    finally:
        context.close()


if __name__ == "__main__":
    main()
