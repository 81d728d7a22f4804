"""The status bar tells what the server uses; memory and disk that run out are told in words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.installation import Installation
from tests.ui.contrast import faint_texts
from tests.ui.pages.hub import SignIn
from tests.ui.pages.lab import Lab
from tests.ui.pictures import Pictures

# Slowly enough to be seen on its way.
GROWS = """
import os, time
held = [os.urandom(640 << 20)]
while True:
    held.append(os.urandom(8 << 20))
    time.sleep(0.8)
"""
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(page: Page, installation: Installation) -> Iterator[Lab]:
    """JupyterLab in a server of one GiB."""
    installation.kpl("server", "start", "--image", "base", "--memory", "1024", "--cpu", "2")
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    page.wait_for_url("**/user/admin/lab**")
    page.goto("/user/admin/lab/workspaces/usage")
    lab = Lab(page, installation)
    lab.wait()
    yield lab
    # Other modules begin with a server that is not started.
    installation.kpl("server", "stop")


def write(lab: Lab, path: str, text: str) -> None:
    """Write a file of the user's."""
    owner, file = lab.user_home.stat(), lab.user_home / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    for one in (file, file.parent):
        os.chown(one, owner.st_uid, owner.st_gid)


def toast(page: Page, words: str) -> Locator:
    """A notification that holds these words."""
    return page.locator(".Toastify__toast", has_text=re.compile(words))


def test_the_status_bar_says_use_and_limits(lab: Lab, pictures: Pictures) -> None:
    usage = lab.page.locator(".kpl-Usage")
    expect(usage).to_contain_text(re.compile(r"CPU [\d.]+ / \d"))
    expect(usage).to_contain_text(re.compile(r"Memory [\d.]+ / 1 GiB"))
    expect(usage).to_contain_text(re.compile(r"Disk [\d.]+ / [\d.]+ [GT]iB"))
    words = usage.get_attribute("title") or ""
    assert "of 1 GiB in use" in words
    pictures.take("status-bar")


def test_memory_that_runs_out_is_told_before_and_after(lab: Lab, pictures: Pictures) -> None:
    cell: dict[str, object] = {"cell_type": "code", "source": GROWS, "metadata": {}, "outputs": [],
            "execution_count": None, "id": "a"}  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4,
                "nbformat_minor": 5}  # fmt: skip
    write(lab, "grows.ipynb", json.dumps(notebook))
    lab.show_files()
    lab.file("grows.ipynb").dblclick()
    expect(lab.page.locator(".jp-Notebook-cell")).to_be_visible()
    # The toolbar calls a kernel idle that is not connected yet; the status bar does not.
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    lab.menu("Run", "Run All Cells")
    warning = toast(lab.page, r"Memory 9\d % of 1 GiB")
    expect(warning).to_be_visible(timeout=90_000)
    expect(warning).to_contain_text(re.compile(r"the kernel of grows\.ipynb uses \d+ MiB"))
    expect(lab.page.locator(".kpl-Usage-part[data-tone]").first).to_contain_text("Memory")
    pictures.take("memory-runs-out")
    ended = toast(lab.page, r"The kernel of grows\.ipynb was ended")
    expect(ended).to_be_visible(timeout=60_000)
    expect(ended).to_contain_text("the memory of 1 GiB was used up. Load less at once, or start")
    pictures.take("kernel-ended")
    # The server has not noticed.
    expect(lab.page.locator(".kpl-Usage")).to_contain_text(re.compile(r"Memory 0\.\d+ / 1 GiB"))


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_what_fills_the_home_is_shown_and_deleted(lab: Lab, pictures: Pictures, theme: str) -> None:
    lab.page.goto(f"/user/admin/lab/workspaces/home-{theme.lower()}")
    lab.wait()
    lab.use_theme(theme)
    write(lab, f"much/{theme}.bin", "x" * (30 << 20))
    lab.page.locator(".kpl-Usage").click()
    home = lab.page.locator(".kpl-Home")
    row = home.get_by_role("row", name=f"much/{theme}.bin")
    expect(row).to_contain_text("30 MiB")
    pictures.take(f"home-{theme.lower()}")
    assert faint_texts(home) == []
    row.get_by_role("button").click()
    lab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert not (lab.user_home / f"much/{theme}.bin").exists()
