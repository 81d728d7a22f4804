"""Write KPL records: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._common import run_program
from benchmarks._dataset import compare


def main() -> None:
    compare("write", "write KPL records")


if __name__ == "__main__":
    run_program(main)
