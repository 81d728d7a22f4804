"""What is in an image: pulled where it is missing, and looked into by running it once."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.daemon import Daemon, DaemonGone
from kpl_lab.engines.docker.options import DockerOptions
from kpl_lab.engines.docker.registry import Sending, split_reference
from kpl_lab.engines.running.looking import COMMAND, NO_SHELL, packages_of
from kpl_lab.engines.spec import ImageFacts, RegistryLogin
from kpl_lab.errors import EngineError
from kpl_lab.formats.image_reference import familiar
from kpl_lab.retry import backoff

_LOOK_SECONDS = 60.0
_MOST_BYTES = 1 << 20
_NOBODY = "65534:65534"
_STDOUT = 1
_LACKS_SHELL = (
    "it has no /bin/sh, with which commands are started; build it on an image that has one"
)
_CLOSED_SHELL = (
    "nobody but root may run its /bin/sh, and nothing runs as root here; give everybody the right to "
    "(`RUN chmod -R a+rX /bin /usr`)"
)
# What daemons and registries say, and what it means: code, sentence.
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        r"no matching manifest|does not match the (?:specified|detected) platform",
        "wrong_architecture",
        "It was made for another kind of processor than this machine has ({machine}); build it for "
        "this one, or register one that is.",
    ),
    (
        r"toomanyrequests",
        "registry_rate_limited",
        "The registry gives out no more images for now, because too many were asked for; have it "
        "looked at again later, or give a user name and password (`kpl image set NAME --username … "
        "--password-stdin`).",
    ),
    (
        r"unauthorized|authentication required|incorrect username or password|access denied"
        r"|denied:|no basic auth",
        "registry_denied",
        "The registry does not let us have it: it is spelt wrongly, does not exist, or wants a "
        "user name and password (`kpl image set NAME --username … --password-stdin`).",
    ),
    (
        r"manifest unknown|not found|name unknown|repository does not exist",
        "image_missing",
        "The registry has no such image; correct its name, tag or digest.",
    ),
    (
        r"no space left",
        "disk_full",
        "The disk is full where Docker keeps images; remove what is not needed (`docker system "
        "prune`), then have it looked at again.",
    ),
    (
        r"no such host|connection refused|timeout|i/o timeout|tls|x509|EOF|unreachable|reset by peer"
        r"|server gave HTTP response",
        "registry_unreachable",
        "Its registry does not answer as one ({said}); see that its address is right and can be "
        "reached from this machine.",
    ),
    (
        r"invalid character|unexpected HTTP status|error parsing HTTP|unsupported media type"
        r"|mediatype|schema version|verification failed|digest mismatch|invalid checksum",
        "registry_broken",
        "What its registry answers makes no sense ({said}); see that its address is right, or ask "
        "whoever keeps that registry.",
    ),
)


def not_here(reference: str) -> EngineError:
    """Return the error of an image that the daemon lacks and may not pull."""
    return EngineError(
        f"The image {reference} is not on this machine, and pulling is off (DockerOptions.pull).",
        code="image_missing",
    )


def given_otherwise(reference: str) -> EngineError:
    """Return the error of an image that was pulled and is not there under its name."""
    return EngineError(
        f"The registry gave {reference} under another name than it was asked for; give the name "
        "that it has there.",
        code="image_missing",
    )


class Inspector:
    """Looks into images, each once for as long as this process runs."""

    def __init__(
        self, daemon: Daemon, options: DockerOptions, installation: str, sending: Sending
    ) -> None:
        self._daemon = daemon
        self._sending = sending
        self._options = options
        self._installation = installation
        self._known: dict[str, dict[str, str]] = {}  # id → packages
        self._is_clean = False

    async def inspect(self, reference: str, login: RegistryLogin | None) -> ImageFacts:
        """Return what is in an image; pulls it where the daemon does not have it.

        Raises
        ------
        EngineError
            It cannot be had or cannot run here, with a code of what is wrong.
        """
        await self._clean()
        await self._sending.free(reference)
        found = await self._daemon.image(reference)
        if found is None or login is not None:  # what is here says nothing of a password
            found = await self._pull(reference, login)
        id = str(found["Id"])
        if id not in self._known:
            await self._check_machine(found)
            self._known[id] = await self._look_into(id)
        return ImageFacts(
            packages=self._known[id],
            digest=_digest_of(found, reference),
            architecture=found.get("Architecture"),
            size_bytes=found.get("Size"),
        )

    async def _clean(self) -> None:
        """Remove what a runner before this one left when it was killed during a look."""
        if not self._is_clean:
            for left in await self._daemon.containers({names.LOOK: self._installation}):
                await self._daemon.remove(left["Id"])
            self._is_clean = True

    async def _pull(self, reference: str, login: RegistryLogin | None) -> dict[str, Any]:
        if not self._options.pull:
            raise not_here(reference)
        try:
            await self._pull_whole(reference, login)
        except DaemonGone:
            raise
        except EngineError as error:
            raise await self._refusal(reference, error) from error
        found = await self._daemon.image(reference)
        if found is None:
            raise given_otherwise(reference)
        return found

    async def _pull_whole(self, reference: str, login: RegistryLogin | None) -> None:
        async with contextlib.aclosing(self._daemon.pull(reference, login)) as stream:
            async for item in stream:
                if "error" in item:
                    raise EngineError(str(item["error"]))

    async def _refusal(self, reference: str, error: EngineError) -> EngineError:
        for pattern, code, sentence in _REFUSALS:
            if re.search(pattern, error.message, re.IGNORECASE):
                machine = str((await self._daemon.version()).get("Arch"))
                words = sentence.format(
                    machine=machine, said=error.message.removeprefix("Docker refused: ")
                )
                return EngineError(f"The image {reference} cannot be had. {words}", code=code)
        return EngineError(
            f"The image {reference} cannot be had. {error.message}", code="image_missing"
        )

    async def _check_machine(self, image: dict[str, Any]) -> None:
        machine = (await self._daemon.version()).get("Arch")
        made_for = image.get("Architecture")
        if machine and made_for and machine != made_for:
            raise EngineError(
                f"It was made for {made_for}, and this machine is {machine}; build it for this one, "
                "or register one that is.",
                code="wrong_architecture",
            )

    async def _look_into(self, id: str) -> dict[str, str]:
        """Run an image once, with nothing given to it, and return the Python packages in it."""
        name = f"kpl-{self._installation}-look-{id.rpartition(':')[2][:12]}"
        await self._daemon.remove(name)
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                container = await self._daemon.create(name, self._container(id))
                await self._daemon.start(container)
                said = await self._said(container)
                code = await self._exit_code(container)
        except TimeoutError as error:
            raise _unusable(f"a look into it took longer than {_LOOK_SECONDS:g} s") from error
        except DaemonGone:
            raise
        except EngineError as error:
            raise _unusable(_why_no_shell(error.message)) from error
        finally:
            await self._daemon.remove(name)
        if code == NO_SHELL:
            raise _unusable(_LACKS_SHELL)
        return packages_of(said)

    async def _said(self, container: str) -> bytes:
        said = b""
        async with contextlib.aclosing(
            self._daemon.log(container, since=None, follow=True)
        ) as stream:
            async for parts in stream:
                said += b"".join(part.data for part in parts if part.stream == _STDOUT)
                if len(said) > _MOST_BYTES:
                    break
        return said

    async def _exit_code(self, container: str) -> int:
        # The log may be over a moment before the daemon has noted the end.
        for wait in backoff(0.02, max_seconds=1.0):
            found = await self._daemon.inspect(container)
            if found is None or not found["State"]["Running"]:
                break
            await asyncio.sleep(wait)
        return 0 if found is None else int(found["State"]["ExitCode"])

    def _container(self, id: str) -> dict[str, Any]:
        return {
            "Image": id,
            "Entrypoint": list(COMMAND),
            "Cmd": [],
            "User": _NOBODY,
            "Healthcheck": {"Test": ["NONE"]},
            "Labels": {names.LOOK: self._installation},
            "HostConfig": {
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Memory": 512 << 20,
                "PidsLimit": 64,
            },
        }


def _why_no_shell(said: str) -> str:
    """Return why an image's shell does not run, from what Docker says of it."""
    if re.search(r"/bin/sh\S*: permission denied", said):
        return _CLOSED_SHELL
    return _LACKS_SHELL if re.search(r"/bin/sh\S*: (?:stat|no such file)", said) else said


def _unusable(why: str) -> EngineError:
    return EngineError(f"Nothing can start from it: {why.rstrip('.')}.", code="image_unusable")


def _digest_of(image: dict[str, Any], reference: str) -> str:
    """Return its registry's name of the content; of what was made here, Docker's own."""
    known = dict(str(one).split("@", 1) for one in image.get("RepoDigests") or ())
    repository = split_reference(familiar(reference).partition("@")[0])[0]
    return known.get(repository) or str(image["Id"])
