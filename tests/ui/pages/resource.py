"""The page of one dataset, task, model, algorithm or service."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class ResourcePage:
    """The page that is in front."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".kpl-Page:visible")
        self.state = self.root.locator(".kpl-Page-facts .kpl-StateChip")
        self.notice = self.root.locator(".kpl-Notice")

    def wait(self, name: str, state: str | None = None, seconds: float = 90) -> None:
        """Wait for the page of ``name``, and for its state in words."""
        title = self.root.locator(".kpl-Page-title").get_by_role("heading", name=name, exact=True)
        expect(title).to_be_visible()
        if state is not None:
            expect(self.state).to_have_text(state, timeout=seconds * 1000)

    def tab(self, name: str) -> Locator:
        """Show a tab and return its panel."""
        self.root.get_by_role("tab", name=name, exact=True).click()
        panel = self.root.get_by_role("tabpanel", name=name, exact=True)
        expect(panel).to_be_visible()
        return panel

    def button(self, name: str) -> Locator:
        """One of the buttons of the head."""
        return self.root.locator(".kpl-Page-actions").get_by_role("button", name=name, exact=True)

    def stop(self) -> None:
        """Stop what runs, answering the question that comes first."""
        self.button("Stop").click()
        dialog = self.page.locator(".jp-Dialog")
        dialog.get_by_role("button", name="Stop").click()
        expect(dialog).to_have_count(0)

    def delete(self, name: str) -> None:
        """Delete it, typing the name as is asked for."""
        self.button("Delete…").click()
        dialog = self.page.locator(".jp-Dialog")
        dialog.locator("input").fill(name)
        dialog.get_by_role("button", name="Delete").click()
        expect(dialog).to_have_count(0)
