"""Read KPL records in order: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._common import run_program
from benchmarks._dataset import compare


def main() -> None:
    compare("read", "read KPL records in order")


if __name__ == "__main__":
    run_program(main)
