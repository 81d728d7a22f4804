"""From a plan to a running command: variables, account, namespace, limits, exec."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from kpl_lab.engines.local import namespace, warm
from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.local.prepare import view_of
from kpl_lab.engines.local.processes import MARK
from kpl_lab.engines.running import fullhome
from kpl_lab.engines.running.place import Place

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What of the runner's own environment a workload gets: language, time zone and how to reach the
# network; nothing that could be a secret of the platform.
PASSED_ON = (
    "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True)
class Launched:
    """A command that has been started."""

    pid: int


class LaunchError(Exception):
    """The command could not be started; the text is for the user."""


def placeholders(
    plan: Plan, place: Place, *, port: int | None, relay: str | None
) -> dict[str, str]:
    """Return what stands for each placeholder of ``kpl_lab.engines.spec``."""
    return {
        "{{inputs}}": str(place.inputs),
        "{{outputs}}": str(place.outputs),
        "{{work}}": str(place.work),
        "{{home}}": plan.home or str(place.home),
        "{{secrets}}": str(place.secrets),
        "{{relay}}": relay or "",
        "{{host}}": "127.0.0.1",
        "{{port}}": "" if port is None else str(port),
        "{{replica}}": str(plan.index),
        "{{hosts}}": ",".join(plan.hosts),
        "{{meeting}}": "" if plan.meeting is None else str(plan.meeting),
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with its placeholders filled."""
    if "{{" in text:
        for name, value in values.items():
            text = text.replace(name, value)
    return text


def environment_of(plan: Plan, place: Place, values: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the command."""
    home = plan.home or str(place.home)
    found = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    found |= {
        "PATH": f"{plan.prefix}/bin:{_SYSTEM_PATH}",
        "VIRTUAL_ENV": plan.prefix,
        "HOME": home,
        "USER": plan.user,
        "LOGNAME": plan.user,
        "LANG": found.get("LANG", "C.UTF-8"),
        "PYTHONUNBUFFERED": "1",
        # As nvidia-smi counts them, which says how many there are and what is used of each.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(str(gpu) for gpu in plan.ceilings.gpus),
    }
    if not plan.is_namespaced:
        found["TMPDIR"] = str(place.tmp)
    if not plan.cgroups:
        found["KPL_MEMORY_EVENTS"] = str(place.memory_events)
    found |= {
        name: fill(value, values) if plan.templates is None or name in plan.templates else value
        for name, value in plan.environment.items()
    }
    if plan.kind == "server":
        found |= fullhome.variables(home, "/tmp" if plan.is_namespaced else str(place.tmp))  # noqa: S108 (made private)
    found[MARK] = plan.mark
    return found


def start_command(
    plan: Plan,
    place: Place,
    values: Mapping[str, str],
    *,
    output: int,
    join: Callable[[], None],
    confine: Callable[[], None] | None = None,
) -> Launched:
    """Start the command of ``plan``.

    Parameters
    ----------
    output
        Descriptor for its standard output and error.
    join
        Puts the child into its cage, as root still.
    confine
        Takes from the child, under its own account already, what it is not to do.

    Raises
    ------
    LaunchError
        A mount or limit was refused, or the program is not there.
    """
    argv = [fill(word, values) if plan.templates is None else word for word in plan.argv]
    environment = environment_of(plan, place, values)
    folder = place.work if plan.code is not None or plan.home is None else Path(plan.home)

    parent = os.getpid()

    def become() -> None:
        join()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if plan.is_namespaced:
            namespace.enter_view(view_of(plan, place), uid=plan.uid, gid=plan.gid)
        if os.geteuid() == 0:
            namespace.drop_to(plan.uid, plan.gid)
        if confine is not None:
            confine()
        namespace.die_with_parent(parent)
        os.umask(0o022)
        os.chdir(folder)

    return spawn(argv, environment, become, output=output)


def spawn(
    argv: list[str],
    environment: Mapping[str, str],
    become: Callable[[], None],
    *,
    output: int,
    keep: tuple[int, ...] = (),
) -> Launched:
    """Fork, let the child ``become`` what it is to be, and execute ``argv`` in a new session.

    Returns when the program runs; descriptors in ``keep`` stay open in it.

    Raises
    ------
    LaunchError
        With the reason of the child.
    """
    reader, writer = os.pipe()  # closed by a successful exec
    parent = os.getpid()
    gc.disable()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        namespace.die_with_parent(parent)
        _child(argv, environment, become, (output, writer, keep))
    gc.enable()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        failure = pipe.read()
    if failure:
        os.waitpid(pid, 0)
        raise LaunchError(failure.decode("utf-8", "replace"))
    return Launched(pid)


def _child(
    argv: list[str],
    environment: Mapping[str, str],
    become: Callable[[], None],
    descriptors: tuple[int, int, tuple[int, ...]],
) -> NoReturn:
    output, failures, keep = descriptors
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for fd in keep:
            os.set_inheritable(fd, True)
        become()
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGCHLD,
            signal.SIGPIPE,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if warm.can_run(argv, environment):
            os.close(failures)
            warm.run(argv, environment)
        os.execvpe(argv[0], argv, dict(environment))  # noqa: S606 (running it is our purpose)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        os.write(failures, f"{argv[0]}: {error.strerror or error}{place}".encode())
    finally:
        os._exit(127)
