"""JupyterLab over a restart of the front door, which answers before it has read its routes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.installation import Installation
from tests.ui.pages.hub import SignIn
from tests.ui.pages.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(page: Page, installation: Installation) -> Iterator[Lab]:
    installation.kpl("server", "start", "--image", "base", "--memory", "1024", "--cpu", "1")
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    page.wait_for_url("**/user/admin/lab**")
    page.goto("/user/admin/lab/workspaces/door")
    lab = Lab(page, installation)
    lab.wait()
    yield lab
    # Other modules begin with a server that is not started.
    installation.kpl("server", "stop")


def test_a_folder_is_not_lost_because_the_front_door_begins(lab: Lab) -> None:
    page, met = lab.page, []
    lab.show_files("digits")
    expect(lab.file("train.py")).to_be_visible()

    def begin(route: Route) -> None:
        met.append(route.request.url)
        if len(met) < 3:
            route.fulfill(status=404, content_type="text/plain", body="404 page not found\n")
        else:
            route.continue_()

    folder = re.compile(r"/api/contents/digits\?")
    page.route(folder, begin)
    page.get_by_role("button", name=re.compile("Refresh")).first.click()
    with page.expect_response(lambda one: one.status == 200 and bool(folder.search(one.url))):
        pass
    page.unroute(folder)
    assert len(met) == 3
    expect(lab.file("train.py")).to_be_visible()
    expect(page.locator(".jp-Dialog")).to_have_count(0)
