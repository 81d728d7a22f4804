"""The server extension's application: configuration, and which handler answers where."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.routing import PathMatches, Rule
from traitlets import Unicode

from kpl_lab import __version__
from kpl_lab.client.credentials import Credentials, find_credentials
from kpl_lab.errors import KplError
from kpl_lab.lab.cleaning import Home
from kpl_lab.lab.client import Door
from kpl_lab.lab.environment import adopt
from kpl_lab.lab.idle_stop import idle_stop_of
from kpl_lab.lab.jobs import Jobs
from kpl_lab.lab.kernels import SETTING, Kernels, OomKills
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

ROOT = "kpl-lab"
NOBODY = "http://127.0.0.1:8000"


class KplLabExtension(ExtensionApp):
    """KPL Lab's door in a Jupyter server."""

    name = "kpl_lab"
    app_name = "KPL Lab"
    description = "Passes the panels' requests on to the platform, with the server's own token."
    load_other_extensions = True
    file_url_prefix = "/kpl-lab"

    platform_url = Unicode(
        "",
        help="""Address of KPL Lab. Default: KPL_API_URL, else that of credentials.json.

        c.KplLabExtension.platform_url = "http://127.0.0.1:8000"
        """,
    ).tag(config=True)

    _idle_task: asyncio.Task[None] | None = None

    def initialize_settings(self) -> None:
        """Find the platform and keep the way to it; a missing token is told when it is needed."""
        root = Path(str(self.serverapp.root_dir)) if self.serverapp else Path.cwd()
        self.settings.update(
            kpl_lab_door=Door(self._credentials(os.environ)),
            kpl_lab_jobs=Jobs(),
            kpl_lab_root=root,
            kpl_lab_usage=of_this_server(str(root)),
            kpl_lab_home=Home(root),
        )
        self._watch_kernels()
        if self.serverapp is not None and self.serverapp.kernel_spec_manager is not None:
            adopt(os.environ, self.serverapp.kernel_spec_manager, self.log)
        door = self.settings["kpl_lab_door"]
        self.settings["kpl_lab_idle"] = self.serverapp and idle_stop_of(
            self.serverapp, door, os.environ, self.log
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:  # noqa: ANN401 - Jupyter's own signature
        """Begin what goes on beside the requests, now that the loop runs."""
        idle = self.settings["kpl_lab_idle"]
        if idle is not None:
            self._idle_task = asyncio.create_task(idle.run())

    def _watch_kernels(self) -> None:
        if self.serverapp is None:
            return
        kills = OomKills(self.settings["kpl_lab_usage"].group, os.environ)
        self.settings[SETTING] = Kernels(self.serverapp, kills)
        self.settings[SETTING].watch()
        contents = self.serverapp.contents_manager
        if self.settings["kpl_lab_home"].is_cleaning_up and contents.has_trait("delete_to_trash"):
            # What goes to a trash on the same disk gives no room, and needs some first.
            contents.set_trait("delete_to_trash", False)

    def _credentials(self, environment: Mapping[str, str]) -> Credentials:
        try:
            found = find_credentials(environment, url=self.platform_url or None)
        except KplError as error:
            # A plain Jupyter server must start; the panels will show what the platform answers.
            self.log.warning("KPL Lab: %s", error.message)
            return Credentials(self.platform_url or NOBODY, "")
        self.log.info("KPL Lab %s at %s, found in %s", __version__, found.url, found.source)
        return found

    def initialize_handlers(self) -> None:
        """Say which handler answers where; the base address is put before by the server."""

        def at(pattern: str) -> str:
            return url_path_join("/", ROOT, pattern)

        handlers: list[tuple[str, Any]] = [
            (at(r"local/folder"), FolderHandler),
            (at(r"local/environment"), EnvironmentHandler),
            (at(r"local/usage"), UsageHandler),
            (at(r"local/home"), HomeHandler),
            (at(r"local/idle"), IdleHandler),
            (at(r"local/jobs/([0-9]+)"), JobHandler),
            (at(r"local/services/([^/]+)/call"), ServiceCallHandler),
            (at(rf"local/({'|'.join(RESOURCES)})"), MakeHandler),
            (at(r"local/builds"), BuildHandler),
            (at(r"api/(.*)"), ForwardHandler),
        ]
        self.handlers.extend(handlers)
        self._lead_links()

    def _lead_links(self) -> None:
        """Lead ``lab/tree?kpl=task:42`` to JupyterLab, which knows that address only with a path."""
        if self.serverapp is None:
            return
        base, router = self.serverapp.base_url, self.serverapp.web_app.default_router
        rule = Rule(
            PathMatches(url_path_join(base, "lab/tree$")),
            web.RedirectHandler,
            {"url": url_path_join(base, "lab"), "permanent": False},
        )
        # Before JupyterLab's own, which says there that nothing was found.
        router.rules.insert(0, router.process_rule(rule))

    async def stop_extension(self) -> None:
        """Close the connections and give up what is being sent."""
        if self._idle_task is not None:
            self._idle_task.cancel()
        self.settings["kpl_lab_jobs"].close()
        self.settings["kpl_lab_home"].close()
        if SETTING in self.settings:
            self.settings[SETTING].close()
        await self.settings["kpl_lab_door"].close()


main = launch_new_instance = KplLabExtension.launch_instance
