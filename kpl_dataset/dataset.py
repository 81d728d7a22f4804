"""The classes under the module name that programs for the original package may import."""

from __future__ import annotations

from kpl_dataset.metadb import MetaDB
from kpl_dataset.reader import ReadOnlyDataset
from kpl_dataset.writer import WriteOnlyDataset

__all__ = ["MetaDB", "ReadOnlyDataset", "WriteOnlyDataset"]
