"""Write KPL records: ours beside the original client and other formats."""

from __future__ import annotations

from benchmarks._dataset import compare

if __name__ == "__main__":
    compare("write", "write KPL records")
