"""Translations of the hub's pages: ``locale/<language>.json``, English text to translation.

The texts stand in the templates in English, marked with ``data-i18n``; the page's script puts the
reader's language in their place, for JupyterHub's own templates do not know who reads them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
# JupyterLab's own, which have what the platform says under a context.
PLATFORM = Path(__file__).parents[1] / "locale"
_PLACES = {"zh": "zh_CN"}
_CONTEXT = "platform\x04"


@cache
def catalogs() -> dict[str, dict[str, str]]:
    """Return all catalogues by language (``zh``)."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(LOCALE.glob("*.json"))}


@cache
def page_catalogs() -> dict[str, dict[str, str]]:
    """Return for each language all that the pages show: their own texts, and what the platform says."""
    return {language: {**_said(language), **own} for language, own in catalogs().items()}


def _said(language: str) -> dict[str, str]:
    path = PLATFORM / _PLACES[language] / "LC_MESSAGES" / "kpl_lab.json"
    return {
        text.removeprefix(_CONTEXT): words[0]
        for text, words in json.loads(path.read_text()).items()
        if text.startswith(_CONTEXT)
    }
