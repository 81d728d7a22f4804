"""The hub's own pages: sign-in, start page, progress of a start."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class SignIn:
    """The page that asks for user and password."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self) -> None:
        """Go where a user begins."""
        self.page.goto("/")
        expect(self.page.get_by_label("Username")).to_be_visible()

    def sign_in(self, user: str, password: str) -> None:
        """Sign in and wait for what comes next."""
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()


class StartPage:
    """The page on which a server is chosen and started."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.start_button = page.get_by_role("button", name="Start", exact=True)
        self.command = page.locator("#kpl-command")
        self.warning = page.locator("#kpl-warning")

    def wait(self) -> None:
        """Wait until the page is there."""
        expect(self.page.get_by_role("heading", name="Start a notebook server")).to_be_visible()
        expect(self.start_button).to_be_enabled()

    def card(self, title: str) -> Locator:
        """The card of an image or a preset."""
        return self.page.locator(".kpl-Card", has_text=title)

    def limit(self, label: str) -> Locator:
        """A field of the exact limits."""
        fold = self.page.locator("#kpl-exact")
        if fold.get_attribute("open") is None:
            fold.locator("summary").click()
        return self.page.get_by_label(label, exact=True)

    def wrong(self, kind: str) -> Locator:
        """What is wrong with the limit ``cpu``, ``memory``, ``gpu`` or ``shm``, beside its field."""
        return self.page.locator(f"#kpl-{kind}-wrong")

    def free(self, kind: str) -> Locator:
        """What is free of ``cpu`` or ``memory``, in words."""
        return self.page.locator(f'.kpl-Meter[data-kind="{kind}"] .kpl-Meter-free')


class StartProgress:
    """The page that tells how a start goes on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.headline = page.locator("#kpl-headline")
        self.steps = page.locator("#kpl-steps > li")
