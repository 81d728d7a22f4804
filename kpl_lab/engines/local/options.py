"""Settings of the local engine: traits, set on the runner's command line or in a file.

``$KPL_HOME/local_engine.py`` is read when it exists, for example
``c.LocalOptions.log_max_bytes = 2**30``.
"""

from __future__ import annotations

from traitlets import Bool, Float, Int, TraitError, Unicode, validate

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
    cgroup_mode = Unicode(
        "auto", help="auto, v2, v1 or none: which kind of limits to use; auto takes the best."
    ).tag(config=True)

    @validate("uid_last")
    def _check_range(self, proposal: dict[str, int]) -> int:
        if proposal["value"] < self.uid_first + 10:
            raise TraitError("uid_last must be at least uid_first + 10.")
        return proposal["value"]


def load_options(home: Home) -> LocalOptions:
    """Return the options of an installation: the defaults and its file.

    Raises
    ------
    Invalid
        The file cannot be used.
    """
    return options.load_options(LocalOptions, home.root / FILE_NAME)
