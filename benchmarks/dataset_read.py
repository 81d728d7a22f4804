"""Read KPL records in order: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._dataset import compare

if __name__ == "__main__":
    compare("read", "read KPL records in order")
