"""Read KPL records at random: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._common import run_program
from benchmarks._dataset import compare


def main() -> None:
    compare("random", "read KPL records at random")


if __name__ == "__main__":
    run_program(main)
