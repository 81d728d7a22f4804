"""The fault dictionary: what an end looks like → what caused it, who can mend it, what to do.

The entries are data, one module per area; ``dictionary`` has them in the order in which they are
tried, ``lookup`` finds the one that fits. ``docs/reference/faults.md`` is made of them.
"""

from __future__ import annotations

from kpl_lab.platform.domain.faults.dictionary import AREAS, BY_CODE, BY_ENGINES_CODE, FAULTS
from kpl_lab.platform.domain.faults.entry import Fault
from kpl_lab.platform.domain.faults.lookup import (
    Explanation,
    explain,
    explain_fault,
    explain_refusal,
)

__all__ = [
    "AREAS",
    "BY_CODE",
    "BY_ENGINES_CODE",
    "FAULTS",
    "Explanation",
    "Fault",
    "explain",
    "explain_fault",
    "explain_refusal",
]
