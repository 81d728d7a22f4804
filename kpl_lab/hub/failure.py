"""Why a server was not started: in words, what to do, and the end of the server's own log."""

from __future__ import annotations

from jupyterhub.spawner import SpawnException
from markupsafe import Markup

from kpl_lab.client.plaintext import plain
from kpl_lab.errors import KplError
from kpl_lab.hub.platform_client import PlatformClient
from kpl_lab.hub.progress import step_reached
from kpl_lab.schemas.servers import ServerStatus

LOG_BYTES = 4096


class NotStarted(SpawnException):  # type: ignore[misc]  # JupyterHub has no types
    """Why a server was not started, in the user's words alone.

    Parameters
    ----------
    message
        The sentence, with the next step.
    log
        The end of the server's own log; shown below the sentence where there is one.
    step
        At which step of the start it was.
    """

    def __init__(
        self, message: str, *, reason: str, status_code: int, log: str = "", step: str = ""
    ) -> None:
        super().__init__(message, reason=reason, status_code=status_code)
        # What JupyterHub looks for when it tells of a failed start, on whatever page.
        self.jupyterhub_message = message
        self.jupyterhub_html_message = str(_html(message, log, step)) if step else None

    def __str__(self) -> str:
        # JupyterHub puts this into the progress that users read.
        return str(self.message)


def _html(message: str, log: str, step: str) -> Markup:
    why = Markup('<p class="kpl-Why" data-step="{}" data-i18n>{}</p>').format(step, message)
    if not log:
        return why
    return why + Markup(
        '<h2 class="kpl-Log-title"><span data-i18n>The end of the server\'s log</span></h2>'
        '<pre class="kpl-Log" tabindex="0">{}</pre>'
    ).format(log)


def refusal(error: KplError) -> NotStarted:
    """Return what to raise where the platform refuses."""
    return NotStarted(error.message, reason=error.code, status_code=error.http_status)


async def failure(platform: PlatformClient, status: ServerStatus) -> NotStarted:
    """Return what to raise for a server that has ended before it was ready."""
    try:
        log = plain(await platform.server_log(status.id, LOG_BYTES))
    except KplError:
        log = ""  # the reason is known all the same
    return NotStarted(
        status.message or "The server ended before it was ready; start it again.",
        reason=status.reason or status.state,
        status_code=500,
        log=log,
        step=step_reached(status.events),
    )
