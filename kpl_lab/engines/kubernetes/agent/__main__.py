"""Beside the command of a pod: ``python3 -m kpl_lab.engines.kubernetes.agent --config FILE``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.agent import main
from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.names import TOGETHER_VARIABLE


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--send-seconds", type=float, default=3600.0)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    is_together = bool(os.environ.get(TOGETHER_VARIABLE))
    main(AgentConfig.read(given.config), given.send_seconds, is_together=is_together)
