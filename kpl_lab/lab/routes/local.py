"""Handlers for what the Jupyter server does itself, as the user."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from pydantic import BaseModel
from tornado import web

from kpl_lab.client.build_material import material_of
from kpl_lab.client.environment import Unsaved, unsaved_here
from kpl_lab.client.uploads import Source
from kpl_lab.lab.base import KplHandler
from kpl_lab.lab.cleaning import Home
from kpl_lab.lab.folders import describe, resolve
from kpl_lab.lab.jobs import Jobs, Report, Work
from kpl_lab.lab.kernels import SETTING, Kernels
from kpl_lab.lab.making import FromPath, Resource, make, prepare
from kpl_lab.lab.usage import EndedView, Usage


class LocalHandler(KplHandler):
    """Base: the server's root folder and its jobs."""

    @property
    def root(self) -> Path:
        """The folder that the file browser shows."""
        return cast("Path", self.settings["kpl_lab_root"])

    @property
    def home(self) -> Home:
        """What fills that folder."""
        return cast("Home", self.settings["kpl_lab_home"])

    @property
    def jobs(self) -> Jobs:
        """What is being sent."""
        return cast("Jobs", self.settings["kpl_lab_jobs"])


class FolderHandler(LocalHandler):
    """``GET local/folder?path=``."""

    @web.authenticated
    async def get(self) -> None:
        """Answer with the form of a code folder."""
        path = self.get_query_argument("path", "")
        self.answer(await asyncio.to_thread(describe, self.root, path))


class MakeHandler(LocalHandler):
    """``POST local/<resource>``."""

    @web.authenticated
    async def post(self, resource: str) -> None:
        """Pack, send, create; answer with what was made, or with a job where that is preferred."""
        wanted = self.read_body(FromPath)
        kind = cast("Resource", resource)
        source = await asyncio.to_thread(prepare, self.root, kind, wanted)
        job = self.jobs.start(self._work(kind, wanted, source))
        if self.request.headers.get("Prefer", "").strip() == "respond-async":
            self.answer(job.view(), 202)
            return
        if job.future is not None:
            self.answer(await job.future, 201)

    def _work(self, kind: Resource, wanted: FromPath, source: Source) -> Work:
        door = self.door

        def work(report: Report) -> BaseModel:
            with door.blocking_client() as client:
                return make(client, kind, wanted, source, report)

        return work


class BuildHandler(LocalHandler):
    """``POST local/builds``."""

    @web.authenticated
    async def post(self) -> None:
        """Pack, send, order the making of an image; answer with a job."""
        wanted = self.read_body(FromPath)
        path = resolve(self.root, wanted.path)
        material = await asyncio.to_thread(material_of, path, dict(wanted.model_extra or {}))
        door = self.door

        def work(report: Report) -> BaseModel:
            with door.blocking_client() as client:
                return material.send(client, report)

        self.answer(self.jobs.start(work).view(), 202)


class EnvironmentHandler(LocalHandler):
    """``GET local/environment``."""

    @web.authenticated
    async def get(self) -> None:
        """Answer what was installed here beyond the image, which is what saving it would save."""
        door = self.door

        def look() -> Unsaved:
            with door.blocking_client() as client:
                return unsaved_here(client)

        self.answer(await asyncio.to_thread(look))


class JobHandler(LocalHandler):
    """``GET|DELETE local/jobs/<number>``."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Answer how far a job is."""
        self.answer(self.jobs.get(int(number)).view())

    @web.authenticated
    async def delete(self, number: str) -> None:
        """Give a job up."""
        job = self.jobs.get(int(number))
        job.is_stopped.set()
        self.answer(job.view())


class UsageHandler(LocalHandler):
    """``GET local/usage``."""

    @web.authenticated
    async def get(self) -> None:
        """Answer what this server uses, and what lack of memory has cost it."""
        usage = cast("Usage", self.settings["kpl_lab_usage"])
        kernels = cast("Kernels", self.settings[SETTING])
        kernels.look()
        found = await asyncio.to_thread(usage.measure, await kernels.living())
        more = {
            "ended": [EndedView.model_validate(one) for one in kernels.ended],
            "home": self.home.mebibytes(),
            "is_cleaning_up": self.home.is_cleaning_up,
        }
        self.answer(found.model_copy(update=more))


class HomeHandler(LocalHandler):
    """``GET|DELETE local/home``."""

    @web.authenticated
    async def get(self) -> None:
        """Answer what fills the home folder."""
        self.answer(await asyncio.to_thread(self.home.filling))

    @web.authenticated
    async def delete(self) -> None:
        """Delete ``?path=`` for good."""
        await asyncio.to_thread(self.home.remove, self.get_query_argument("path"))
        self.set_status(204)
        self.finish()
