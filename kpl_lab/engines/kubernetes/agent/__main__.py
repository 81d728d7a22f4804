"""Beside the command of a pod: ``python3 -m kpl_lab.engines.kubernetes.agent --config FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.agent import main
from kpl_lab.engines.kubernetes.agent.config import AgentConfig


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--send-seconds", type=float, default=3600.0)
    parser.add_argument(
        "--together", action="store_true", help="the command starts and ends beside it"
    )
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    main(AgentConfig.read(given.config), given.send_seconds, is_together=given.together)
