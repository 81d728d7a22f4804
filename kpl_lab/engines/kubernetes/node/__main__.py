"""On each node: ``python3 -m kpl_lab.engines.kubernetes.node --gate HOST:PORT --token-file FILE …``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from kpl_lab.engines.kubernetes.names import POD_VARIABLE
from kpl_lab.engines.kubernetes.node.agent import main
from kpl_lab.engines.kubernetes.node.config import NodeConfig

NODE_VARIABLE = "KPL_NODE"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--gate", required=True)
    for name in ("--token-file", "--pods", "--cache", "--marks"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--cache-mb", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    host, _, port = given.gate.rpartition(":")
    main(
        NodeConfig(
            node=os.environ[NODE_VARIABLE],
            gate=(host.strip("[]"), int(port)),
            token_file=given.token_file,
            pods=given.pods,
            cache=given.cache,
            cache_bytes=given.cache_mb * 1024**2,
            marks=given.marks,
        ),
        os.environ[POD_VARIABLE],
    )
