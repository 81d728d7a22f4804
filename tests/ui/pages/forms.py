"""A form of the main area, with the card beside it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class Form:
    """The form that is in front."""

    def __init__(self, page: Page) -> None:
        self.root = page.locator(".kpl-Form:visible")
        self.card = self.root.locator(".kpl-Form-card")

    def wait(self, title: str) -> None:
        """Wait for the form of this title."""
        expect(self.root.get_by_role("heading", name=title, level=1)).to_be_visible()

    def field(self, label: str) -> Locator:
        """A field by its label."""
        return self.root.get_by_label(label, exact=True)

    def fill(self, label: str, value: str) -> None:
        """Type into a field."""
        self.field(label).fill(value)

    def set_parameter(self, name: str, value: str) -> None:
        """Type into the field of a parameter, by its whole path."""
        self.root.locator(f"#root_{name.replace('.', '_')}").fill(value)

    def choose(self, label: str, option: str) -> None:
        """Choose one of several, waiting until it is offered."""
        field = self.field(label)
        expect(field.locator("option", has_text=option).first).to_be_attached()
        field.select_option(label=option)

    def unfold(self, title: str) -> None:
        """Open a fold."""
        self.root.locator("summary", has_text=title).click()

    def button(self, name: str) -> Locator:
        """The button of the card."""
        return self.card.get_by_role("button", name=name, exact=True)

    def send(self, button: str) -> None:
        """Press the button of the card."""
        wanted = self.button(button)
        expect(wanted).to_be_enabled()
        wanted.click()
