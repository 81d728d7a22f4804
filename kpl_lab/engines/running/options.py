"""Settings that every engine with a runner has: traits of one class, read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from traitlets import Float, Int, TraitError
from traitlets.config import Config, Configurable
from traitlets.config.loader import PyFileConfigLoader

from kpl_lab.errors import Invalid

Options = TypeVar("Options", bound=Configurable)


class RunningOptions(Configurable):
    """What an administrator may change about how workloads run."""

    log_max_bytes = Int(
        1 << 30,
        help="Bytes kept of one replica's output; what comes after is dropped, and the last line "
        "says so.",
    ).tag(config=True)
    processes_max = Int(
        2048, help="Processes and threads that one replica may have at a time."
    ).tag(config=True)
    health_seconds = Float(
        5.0, help="Seconds between health checks of a service that is ready."
    ).tag(config=True)
    health_timeout_seconds = Float(3.0, help="Seconds that one health check may take.").tag(
        config=True
    )
    health_failures = Int(3, help="Failed checks in a row after which it is unhealthy.").tag(
        config=True
    )
    unhealthy_restart_seconds = Float(
        60.0, help="Seconds of being unhealthy after which a replica is restarted."
    ).tag(config=True)
    wrong_port_seconds = Float(
        20.0,
        help="Seconds that a service may listen on other ports alone before it ends as wrong_port.",
    ).tag(config=True)
    restarts_max = Int(
        5,
        help="Restarts of a service that has never been ready, after which it is given up. One "
        "that was ready is restarted for ever.",
    ).tag(config=True)
    restart_first_seconds = Float(
        1.0, help="Wait before the first restart of a service; doubles up to restart_last_seconds."
    ).tag(config=True)
    restart_last_seconds = Float(60.0, help="Longest wait before a restart.").tag(config=True)
    relay_wait_seconds = Float(
        30.0,
        help="Seconds that the end of a task waits for its last metrics to be delivered; the relay "
        "goes on after that.",
    ).tag(config=True)


def load_options(kind: type[Options], path: Path, **variables: str | list[str]) -> Options:
    """Return the options of an installation: the defaults, and the file where there is one.

    Parameters
    ----------
    variables
        Values between the defaults and the file; empty ones are none.

    Raises
    ------
    Invalid
        The file cannot be used.
    """
    config = Config({kind.__name__: {name: value for name, value in variables.items() if value}})
    try:
        if path.is_file():
            config.merge(PyFileConfigLoader(path.name, path=str(path.parent)).load_config())
        return kind(config=config)
    except (SyntaxError, NameError, TraitError) as error:
        raise Invalid(
            f"{path} cannot be used ({error}); mend or remove it.", code="bad_settings"
        ) from error
