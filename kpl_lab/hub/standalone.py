"""What has to be there before a hub that nobody supervises can start."""

from __future__ import annotations

import subprocess
import sys

from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings


def prepare(settings: Settings) -> None:
    """Make folders, secrets and database; in a process of its own, for the hub knows no database.

    Raises
    ------
    EngineError
        It failed, or ``kpl-lab up`` runs this installation already; with what was said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "kpl_lab.cli.kpl_lab", "prepare"],
        env=None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(
            f"{settings.home.root} could not be prepared: {done.stderr.strip()}",
            code="not_prepared",
        )
