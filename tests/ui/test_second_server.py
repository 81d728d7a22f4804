"""The start page beside a server that runs: opened and stopped from there, what is chosen stays."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.installation import Installation
from tests.ui.pages.hub import SignIn, StartPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_further_server_is_chosen_first_whatever_its_name_is(
    page: Page, installation: Installation
) -> None:
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    start = StartPage(page)
    start.wait()
    addresses = set()
    for name in ("二 号", "三号", "plain-name"):
        page.goto("/hub/home")
        page.get_by_label("Name of a new server").fill(name)
        page.get_by_role("button", name="Choose and start").last.click()
        start.wait()
        addresses.add(page.url.partition("?")[0].rpartition("/")[2])
    assert len(addresses) == 3
    assert "plain-name" in addresses
    page.goto("/hub/home")
    expect(page.get_by_role("cell", name="二 号")).to_be_visible()


def test_what_was_refused_is_not_offered_again(page: Page, installation: Installation) -> None:
    said = installation.run("kpl", "server", "start", "--memory", "999999")
    assert "could never start" in said.stderr
    page.goto("/hub/spawn")
    StartPage(page).wait()
    expect(StartPage(page).command).to_have_text(
        "kpl server start --image base --cpu 1 --memory 2048"
    )


def test_a_form_that_is_sent_again_leads_to_the_server(
    page: Page, installation: Installation
) -> None:
    page.goto("/hub/spawn")
    start = StartPage(page)
    start.wait()
    # Meanwhile it was started from elsewhere.
    installation.kpl("server", "start", "--memory", "1024")
    start.start_button.click()
    page.wait_for_url("**/user/admin/lab**")
    installation.kpl("server", "stop")


def test_a_running_server_is_stopped_from_the_start_page(
    page: Page, installation: Installation
) -> None:
    start = StartPage(page)
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
