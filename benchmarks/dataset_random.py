"""Read KPL records at random: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._dataset import compare

if __name__ == "__main__":
    compare("random", "read KPL records at random")
