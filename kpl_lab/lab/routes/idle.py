"""Handlers about idle stop."""

from __future__ import annotations

from typing import cast

from tornado import web

from kpl_lab.lab.base import KplHandler
from kpl_lab.lab.idle import IdleStops, IdleView


class IdleHandler(KplHandler):
    """``GET|POST local/idle``."""

    @property
    def idle_stop(self) -> IdleStops | None:
        """What stops this server; None where nothing does."""
        return cast("IdleStops | None", self.settings.get("kpl_lab_idle"))

    @web.authenticated
    async def get(self) -> None:
        """Answer how long it is until this server is stopped."""
        self._answer_now()

    @web.authenticated
    async def post(self) -> None:
        """Keep it running: its time begins anew."""
        if self.idle_stop is not None:
            await self.idle_stop.keep()
        self._answer_now()

    def _answer_now(self) -> None:
        idle = self.idle_stop
        self.answer(IdleView(minutes=None) if idle is None else idle.view())
