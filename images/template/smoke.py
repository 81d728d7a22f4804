"""What your image must be able to do; any error fails the build of it."""

from __future__ import annotations

from tabulate import tabulate

assert "1" in tabulate([[1]])
print("ok")
