"""Datasets, models and algorithms: names with numbered versions that are prepared after a create."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from kpl_lab.client.resources import EndedBadly, Resource
from kpl_lab.client.transport import Request
from kpl_lab.client.unpacking import unpack
from kpl_lab.client.uploads import Progress
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.errors import NotFound
from kpl_lab.naming import split_reference
from kpl_lab.schemas.common import AssetState, ResourceView


class Version(Protocol):
    """What versions of all three have."""

    number: int
    state: AssetState
    reason: str | None
    message: str | None


V = TypeVar("V", bound=ResourceView)
D = TypeVar("D", bound=ResourceView)


class Versioned(Resource[V, D]):
    """A resource with immutable versions."""

    def versions(self, detail: D) -> Sequence[Version]:
        """Return the versions of a detail."""
        raise NotImplementedError

    def _make(self, body: BaseModel, *, wait: bool) -> D:
        """Create the next version, and with ``wait`` return when it is ready."""
        view = self._transport.create(f"/{self.noun}", body, _AnyView)
        detail = self.get(view.id)
        return self.wait_ready(detail) if wait else detail

    def wait_ready(self, made: D, *, on_look: Callable[[D], None] | None = None) -> D:
        """Return ``made``, as a create answered it, when its newest version is ready.

        Parameters
        ----------
        on_look
            Told each state, for progress.

        Raises
        ------
        EndedBadly
            The version was made but cannot be used; earlier ones are as they were.
        """
        number = max((version.number for version in self.versions(made)), default=1)

        def version(detail: D) -> Version:
            return self._version(detail, number)

        detail = wait_until(
            self._events,
            Watch((self.noun,), made.id),
            lambda: self.get(made.id),
            lambda found: version(found).state is not AssetState.PREPARING,
            on_look,
        )
        ended = version(detail)
        if ended.state is AssetState.FAILED:
            noun = self.noun.removesuffix("s").capitalize()
            why = ended.message or detail.message or ended.reason or "no reason was given."
            if not any(v.state is AssetState.READY for v in self.versions(detail)):
                command = shlex.join(["kpl", self.noun.removesuffix("s"), "delete", detail.name])
                why += (
                    " Nothing of it can be used: put that right and make it again under the same "
                    f"name, or remove it with `{command}`."
                )
            raise EndedBadly(
                f"{noun} {detail.name!r}, version {number}, failed", detail, ended.reason, why
            )
        return detail

    def _version(self, detail: D, number: int | None) -> Version:
        versions = self.versions(detail)
        ready = [v for v in versions if v.state is AssetState.READY]
        wanted = ready if number is None else [v for v in versions if v.number == number]
        if not wanted:
            noun = self.noun.removesuffix("s")
            missing = "no version that is ready" if number is None else f"no version {number}"
            raise NotFound(
                f"The {noun} {detail.name!r} has {missing}; `kpl {noun} show` lists them.",
                code="no_version",
            )
        return max(wanted, key=lambda v: v.number)

    def download(
        self, reference: str, target: Path | None = None, on_progress: Progress | None = None
    ) -> Path:
        """Unpack ``NAME[:VERSION]`` into a new folder and return it.

        Parameters
        ----------
        target
            The folder; None: one in the working directory, named after the thing.

        Raises
        ------
        Conflict
            The folder is there already.
        NotFound
            No such thing, or no version that is ready.
        """
        ref, number = split_reference(reference)
        detail = self.get(ref)
        version = self._version(detail, number)
        folder = target or Path(detail.name)
        path = self.path(detail.id, "versions", version.number, "download")
        with self._transport.stream(path) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else getattr(version, "bytes", None)
            unpack(answer.iter_bytes(), folder, total=total, on_progress=on_progress)
        return folder

    def update(self, ref: str | int, body: BaseModel) -> D:
        """Change what is said about it and return it as it is then."""
        self._transport.send(Request("PATCH", self.path(ref), json=body, repeatable=True))
        return self.get(ref)


class _AnyView(ResourceView, extra="ignore"):
    """The facts that every resource has, whatever else an answer holds."""
