"""Which texts of our catalogue stand on a page in English."""

from __future__ import annotations

import json
import re
from functools import cache

from playwright.sync_api import Locator

from tests.installation import ROOT

CATALOGUE = ROOT / "kpl_lab" / "locale" / "zh_CN" / "LC_MESSAGES" / "kpl_lab.json"
# Everything that is read: texts that are seen, and what is said of things without one.
_TEXTS = """root => {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const {data, parentElement} = walker.currentNode;
    if (data.trim() && parentElement.checkVisibility()) found.push(data.trim());
  }
  for (const node of root.querySelectorAll('[title], [aria-label], [placeholder]')) {
    for (const name of ['title', 'aria-label', 'placeholder']) {
      if (node.getAttribute(name)) found.push(node.getAttribute(name).trim());
    }
  }
  return found;
}"""
# What stands out of its place: the words of a thing that is not made to scroll or to be shortened.
_CUT = """root => [...root.querySelectorAll('button, label, h1, h2, th, dt, [role=tab]')]
  .filter(node => node.checkVisibility() && node.clientWidth > 0)
  .filter(node => node.scrollWidth > node.clientWidth + 1)
  .map(node => node.textContent)"""


@cache
def _english() -> tuple[re.Pattern[str], ...]:
    """The texts of the catalogue that are another text in Chinese, with any word for a value."""
    catalogue = json.loads(CATALOGUE.read_text())
    texts = [key for key, said in catalogue.items() if key and "\x04" not in key and said[0] != key]
    return tuple(
        re.compile(re.sub(r"%\d", r"\\S+", re.escape(text)))
        for text in texts
        if re.search("[A-Za-z]{2}", re.sub(r"%\d", "", text))
    )


def english_texts(root: Locator) -> list[str]:
    """Return the texts below ``root`` that the catalogue has in Chinese."""
    found: list[str] = root.evaluate(_TEXTS)
    assert found, "there is nothing to read"
    return [text for text in dict.fromkeys(found) if any(p.fullmatch(text) for p in _english())]


def cut_texts(root: Locator) -> list[str]:
    """Return the texts below ``root`` that do not fit where they stand."""
    found: list[str] = root.evaluate(_CUT)
    return found
