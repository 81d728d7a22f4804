"""Settings of the local engine: traits, set on the runner's command line or in a file.

``$KPL_HOME/local_engine.py`` is read when it exists, for example
``c.LocalOptions.log_max_bytes = 2**30``.
"""

from __future__ import annotations

from traitlets import Bool, Float, Int, TraitError, Unicode, validate
from traitlets.utils.bunch import Bunch

from kpl_lab.engines.local.connect_filter import SERVICE_PORTS
from kpl_lab.engines.running import options
from kpl_lab.settings import Home

FILE_NAME = "local_engine.py"


class LocalOptions(options.RunningOptions):
    """What an administrator may change about the local engine."""

    uid_first = Int(
        20000, help="First of the numeric accounts that workloads run under, as root."
    ).tag(config=True)
    uid_last = Int(
        59999,
        help="Last of them. The default range exists in user-namespaced containers too, "
        "which commonly map 65,536 accounts.",
    ).tag(config=True)
    watchdog_seconds = Float(
        0.25, help="Seconds between looks at memory where there are no cgroups."
    ).tag(config=True)
    warm_start = Bool(
        True,
        help="Fork notebook servers from a process that has imported JupyterLab: they start in a "
        "fraction of the time. It holds about 120 MiB.",
    ).tag(config=True)
    service_port_first = Int(
        SERVICE_PORTS[0],
        min=1024,
        max=65535,
        help="First of the loopback's ports for replicas of services. Workloads can open no TCP "
        "connection to these ports, on other machines neither.",
    ).tag(config=True)
    service_port_last = Int(
        SERVICE_PORTS[-1],
        min=1024,
        max=65535,
        help="Last of them. The default range is assigned to no known program, and Linux gives "
        "none of it to outgoing connections.",
    ).tag(config=True)
    cgroup_mode = Unicode(
        "auto", help="auto, v2, v1 or none: which kind of limits to use; auto takes the best."
    ).tag(config=True)

    @validate("uid_last")
    def _check_range(self, proposal: dict[str, int]) -> int:
        if proposal["value"] < self.uid_first + 10:
            raise TraitError("uid_last must be at least uid_first + 10.")
        return proposal["value"]

    @validate("service_port_first", "service_port_last")
    def _check_ports(self, proposal: Bunch) -> int:
        ends = {"first": self.service_port_first, "last": self.service_port_last}
        ends[proposal["trait"].name.removeprefix("service_port_")] = proposal["value"]
        if ends["last"] < ends["first"] + 10:
            raise TraitError("service_port_last must be at least service_port_first + 10.")
        return int(proposal["value"])

    @property
    def service_ports(self) -> range:
        """Where replicas of services listen."""
        return range(self.service_port_first, self.service_port_last + 1)


def load_options(home: Home) -> LocalOptions:
    """Return the options of an installation: the defaults and its file.

    Raises
    ------
    Invalid
        The file cannot be used.
    """
    return options.load_options(LocalOptions, home.root / FILE_NAME)
