"""The server extension's application: configuration, and what a server needs before it listens.

What answers the panels is loaded afterwards (``panel.py``): it would take a quarter of the time that a
server needs to listen, and nothing asks for it before a page is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import PathMatches, Router, Rule
from traitlets import Unicode

from kpl_lab import __version__
from kpl_lab.client.credentials import Credentials, find_credentials
from kpl_lab.errors import KplError
from kpl_lab.lab.environment import adopt
from kpl_lab.lab.given import is_cleaning_up, own_group
from kpl_lab.lab.kernels import SETTING, Kernels, OomKills

if TYPE_CHECKING:
    from kpl_lab.lab.panel import Panel

ROOT = "kpl-lab"
NOBODY = "http://127.0.0.1:8000"
# By then the page is on its way, and the panels have asked for nothing yet.
LOAD_AFTER_SECONDS = 2.0
# One after the other, so that a request in between waits for one of them alone.
PARTS = (
    "pydantic.main",
    "kpl_lab.schemas.services",
    "kpl_lab.schemas.algorithms",
    "kpl_lab.schemas.servers",
    "kpl_lab.client.client",
    "kpl_lab.lab.panel",
)


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

    _found: Credentials
    _panel: Panel | None = None
    _loading: asyncio.Task[None] | None = None

    def initialize_settings(self) -> None:
        """Find the platform and watch the kernels; a missing token is told when it is needed."""
        self._found = self._credentials(os.environ)
        self._watch_kernels()
        if self.serverapp is not None and self.serverapp.kernel_spec_manager is not None:
            adopt(os.environ, self.serverapp.kernel_spec_manager, self.log)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:  # noqa: ANN401 - Jupyter's own signature
        """Load what answers the panels, now that the loop runs."""
        self._loading = asyncio.create_task(self._load_soon())

    async def _load_soon(self) -> None:
        await asyncio.sleep(LOAD_AFTER_SECONDS)
        for name in PARTS:
            with contextlib.suppress(Exception):  # loading tells of it
                importlib.import_module(name)
            await asyncio.sleep(0)
        self.load()

    def load(self) -> None:
        """Put the handlers of the panels in their place, once."""
        if self._panel is not None or self.serverapp is None:
            return
        try:
            self._load(self.serverapp)
        except Exception:
            self.log.exception("KPL Lab cannot be loaded; its panels do not work.")

    def _load(self, app: ServerApp) -> None:
        from kpl_lab.lab.panel import HANDLERS, Panel

        panel = Panel(app, self._found, self.log)
        app.web_app.settings.update(panel.settings())
        base = url_path_join(app.base_url, ROOT)
        handlers = [(url_path_join(base, at), kind, {"name": self.name}) for at, kind in HANDLERS]
        app.web_app.add_handlers(".*$", handlers)  # type: ignore[no-untyped-call] # Jupyter's
        panel.start()
        self._panel = panel

    def _watch_kernels(self) -> None:
        if self.serverapp is None:
            return
        kills = OomKills(own_group(os.environ), os.environ)
        self.settings[SETTING] = Kernels(self.serverapp, kills)
        self.settings[SETTING].watch()
        contents = self.serverapp.contents_manager
        if is_cleaning_up(os.environ) and contents.has_trait("delete_to_trash"):
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
        """Have the first request for a panel load what answers it."""
        if self.serverapp is None:
            return
        at = PathMatches(url_path_join(self.serverapp.base_url, ROOT, ".*"))
        router = self.serverapp.web_app.default_router
        router.rules.insert(0, router.process_rule(Rule(at, _FirstRequest(self))))
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
        if self._loading is not None:
            self._loading.cancel()
        if SETTING in self.settings:
            self.settings[SETTING].close()
        if self._panel is not None:
            await self._panel.close()


class _FirstRequest(Router):
    """Leads requests to handlers that it has loaded first."""

    def __init__(self, extension: KplLabExtension) -> None:
        self._extension = extension

    def find_handler(
        self,
        request: HTTPServerRequest,
        **kwargs: Any,  # noqa: ANN401 - tornado's own signature
    ) -> HTTPMessageDelegate | None:
        """Return nothing: the rules after this one have the handlers by then."""
        self._extension.load()
        return None


main = launch_new_instance = KplLabExtension.launch_instance
