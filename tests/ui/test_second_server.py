"""The start page beside a server that runs: opened and stopped from there, what is chosen stays."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.installation import Installation
from tests.ui.pages.hub import SignIn, StartPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_running_server_is_stopped_from_the_start_page(
    page: Page, installation: Installation
) -> None:
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    start = StartPage(page)
    start.wait()
    installation.kpl("server", "start", "--memory", "1024")
    page.goto("/hub/spawn/admin/second")
    start.wait()
    running = page.locator("#kpl-running li")
    expect(running).to_contain_text("default server")
    expect(running.get_by_role("link", name="Open")).to_have_attribute("href", "/user/admin/")
    start.limit("Memory, MiB").fill("1500")
    free = start.free("memory").inner_text()
    running.get_by_role("button", name="Stop").click()
    expect(running).to_have_count(0)
    expect(start.free("memory")).not_to_have_text(free)
    expect(start.limit("Memory, MiB")).to_have_value("1500")
    expect(start.command).to_have_text("kpl server start second --image base --cpu 1 --memory 1500")
