"""Translations of the hub's pages: ``locale/<language>.json``, English text to translation.

The texts stand in the templates in English, marked with ``data-i18n``; the page's script puts the
reader's language in their place, for JupyterHub's own templates do not know who reads them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

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


def template_vars() -> dict[str, Markup]:
    """Return what the pages carry, as JSON that is ready to stand in a script.

    ``kpl_texts`` are the pages' own texts, ``kpl_all_texts`` those and what the platform says,
    which is six times as much.
    """
    # Written out once: it takes milliseconds of the one loop that all pages are made in.
    return {"kpl_texts": _as_json(catalogs()), "kpl_all_texts": _as_json(page_catalogs())}


def _as_json(texts: dict[str, dict[str, str]]) -> Markup:
    return htmlsafe_json_dumps(texts, dumps=_compact)


def _compact(texts: object, **options: Any) -> str:  # noqa: ANN401 (as json.dumps)
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"), **options)


def _said(language: str) -> dict[str, str]:
    path = PLATFORM / _PLACES[language] / "LC_MESSAGES" / "kpl_lab.json"
    return {
        text.removeprefix(_CONTEXT): words[0]
        for text, words in json.loads(path.read_text()).items()
        if text.startswith(_CONTEXT)
    }
