"""Whether everything that is worked has a name for those who do not see it."""

from __future__ import annotations

from playwright.sync_api import Locator

# WCAG 2.2, 4.1.2. The sources of names that our panels use, of those of W3C's accname.
_UNNAMED = """root => [...root.querySelectorAll('input, select, textarea, button, summary, [role=button], [role=tab]')]
  .filter(node => node.type !== 'hidden' && node.checkVisibility())
  .filter(node => {
    const ids = (node.getAttribute('aria-labelledby') || '').split(/\\s+/).filter(Boolean);
    const names = [
      node.getAttribute('aria-label'),
      ...ids.map(id => document.getElementById(id)?.textContent),
      ...[...(node.labels || [])].map(label => label.textContent),
      node.matches('input, select, textarea') ? '' : node.textContent || node.title,
    ];
    return !names.some(name => name && name.trim());
  })
  .map(node => `${node.tagName} ${node.id} ${node.className}`)"""


def unnamed_controls(root: Locator) -> list[str]:
    """Return the fields and buttons below ``root`` that have no name."""
    found: list[str] = root.evaluate(_UNNAMED)
    return found
