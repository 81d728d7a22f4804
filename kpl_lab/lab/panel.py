"""What answers the panels: which handler answers where, and what the handlers share.

It imports the schemas and the client, which a server does not need to listen; the extension loads it
afterwards, or when the first request comes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

from kpl_lab.client.credentials import Credentials
from kpl_lab.lab.base import KplHandler
from kpl_lab.lab.cleaning import Home
from kpl_lab.lab.client import Door
from kpl_lab.lab.idle_stop import idle_stop_of
from kpl_lab.lab.jobs import Jobs
from kpl_lab.lab.making import RESOURCES
from kpl_lab.lab.routes.forward import ForwardHandler
from kpl_lab.lab.routes.idle import IdleHandler
from kpl_lab.lab.routes.local import (
    BuildHandler,
    EnvironmentHandler,
    FolderHandler,
    HomeHandler,
    JobHandler,
    MakeHandler,
    UsageHandler,
)
from kpl_lab.lab.routes.service_call import ServiceCallHandler
from kpl_lab.lab.usage import of_this_server

HANDLERS: tuple[tuple[str, type[KplHandler]], ...] = (
    (r"local/folder", FolderHandler),
    (r"local/environment", EnvironmentHandler),
    (r"local/usage", UsageHandler),
    (r"local/home", HomeHandler),
    (r"local/idle", IdleHandler),
    (r"local/jobs/([0-9]+)", JobHandler),
    (r"local/services/([^/]+)/call", ServiceCallHandler),
    (rf"local/({'|'.join(RESOURCES)})", MakeHandler),
    (r"local/builds", BuildHandler),
    (r"api/(.*)", ForwardHandler),
)


class Panel:
    """The way to the platform, what is being sent, and what stops an idle server.

    Parameters
    ----------
    app
        The Jupyter server.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 (the Jupyter server is untyped)
        credentials: Credentials,
        log: logging.Logger,
    ) -> None:
        self._root = Path(str(app.root_dir))
        self._door = Door(credentials)
        self._jobs = Jobs()
        self._home = Home(self._root)
        self._idle = idle_stop_of(app, self._door, os.environ, log)
        self._idle_task: asyncio.Task[None] | None = None

    def settings(self) -> dict[str, object]:
        """Return what the handlers find in the settings."""
        return {
            "kpl_lab_door": self._door,
            "kpl_lab_jobs": self._jobs,
            "kpl_lab_root": self._root,
            "kpl_lab_usage": of_this_server(str(self._root)),
            "kpl_lab_home": self._home,
            "kpl_lab_idle": self._idle,
        }

    def start(self) -> None:
        """Begin what goes on beside the requests."""
        if self._idle is not None and self._idle_task is None:
            self._idle_task = asyncio.create_task(self._idle.run())

    async def close(self) -> None:
        """Close the connections and give up what is being sent."""
        if self._idle_task is not None:
            self._idle_task.cancel()
        self._jobs.close()
        self._home.close()
        await self._door.close()
