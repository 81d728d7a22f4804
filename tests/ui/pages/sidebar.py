"""The sidebar of KPL Lab."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


class Sidebar:
    """Capacity on top, below it a section for each kind of thing."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.panel = page.locator("#kpl-lab-sidebar")
        self.capacity = self.panel.locator(".kpl-Capacity")

    def section(self, kind: str) -> Locator:
        """A section, unfolded."""
        title = self.panel.locator(".lm-AccordionPanel-title", has_text=kind.capitalize())
        expect(title).to_have_attribute("aria-expanded", re.compile("true|false"))
        if title.get_attribute("aria-expanded") == "false":
            title.locator(".lm-AccordionPanel-titleLabel").click()
        found = self.panel.locator(f"#kpl-section-{kind}")
        expect(found).to_be_visible()
        return found

    def row(self, kind: str, name: str) -> Locator:
        """A row; the newest of its name."""
        return self.section(kind).locator(f'.kpl-Row[data-name="{name}"]').first

    def open(self, kind: str, name: str) -> None:
        """Open the page of a row."""
        self.row(kind, name).press("Enter")

    def act(self, kind: str, name: str, action: str) -> None:
        """Use one of the buttons that appear on a row."""
        row = self.row(kind, name)
        row.hover()
        row.get_by_role("button", name=action, exact=True).click()
