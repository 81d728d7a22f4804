"""Translations of the hub's pages: ``locale/<language>.json``, English text to translation.

The texts stand in the templates in English, marked with ``data-i18n``; the page's script puts the
reader's language in their place, for JupyterHub's own templates do not know who reads them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"


@cache
def catalogs() -> dict[str, dict[str, str]]:
    """Return all catalogues by language (``zh``)."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(LOCALE.glob("*.json"))}
