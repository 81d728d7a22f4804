"""Our panels speak the language that JupyterLab was set to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.installation import Installation
from tests.ui.contrast import faint_texts
from tests.ui.pages.hub import SignIn, StartPage
from tests.ui.pages.lab import Lab
from tests.ui.pictures import Pictures
from tests.ui.texts import cut_texts, english_texts

LANGUAGE = "@jupyterlab/translation-extension:plugin"
THEME = "@jupyterlab/apputils-extension:themes"
CODE = "def 学习():\n    return 1 / 0\n\n\n学习()\n"
ENVIRONMENT = (
    "version: 1\nimage: {from_image: python:3.11}\n"
    "train:\n  resource: {limits: {cpu: 1, memory: 256}}\n  cmd: python3 main.py\n"
)
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(
    page: Page, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """JupyterLab in Chinese, with something to show; what is set is unset afterwards."""
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    StartPage(page).wait()
    StartPage(page).start_button.click()
    page.wait_for_url("**/user/admin/lab**")
    # A workspace of its own: what is opened here is not opened elsewhere.
    page.goto("/user/admin/lab/workspaces/chinese")
    lab = Lab(page, installation)
    lab.wait()
    lab.write_project("学习", ENVIRONMENT, CODE)
    pictures = tmp_path_factory.mktemp("pictures")
    _draw(pictures)
    installation.kpl("dataset", "create", "水果", "--from", str(pictures))
    installation.run(
        "kpl", "task", "submit", "--code", str(lab.user_home / "学习"), "--name", "训练", "--wait"
    )
    lab.set(LANGUAGE, {"locale": "zh_CN"})
    yield lab
    lab.set(LANGUAGE, {})
    lab.set(THEME, {})
    # Other modules begin with a server that is not started.
    installation.kpl("server", "stop")


@pytest.fixture(params=["Light", "Dark"], scope="module")
def theme(request: pytest.FixtureRequest, lab: Lab) -> str:
    name: str = request.param
    lab.set(THEME, {"theme": f"JupyterLab {name}"})
    return name.lower()


def test_the_sidebar_is_in_chinese(lab: Lab, theme: str, pictures: Pictures) -> None:
    panel = lab.show_sidebar().panel
    expect(panel.locator("#kpl-section-tasks").get_by_text("训练")).to_be_visible()
    for word in ("数据集", "任务", "算法", "模型", "服务", "镜像"):
        expect(panel.locator(".lm-AccordionPanel-titleLabel", has_text=word)).to_be_visible()
    for item in (".kpl-Usage", ".kpl-Status:not(.kpl-Usage)"):
        expect(lab.page.locator(item)).to_contain_text("内存")
    _check(panel)
    pictures.take(f"chinese-sidebar-{theme}")


def test_a_form_is_in_chinese(lab: Lab, theme: str, pictures: Pictures) -> None:
    lab.show_sidebar()
    lab.page.get_by_role("button", name="新建任务…").first.click()
    form = lab.form
    form.wait("新建任务")
    form.fill("文件夹", "学习")
    expect(form.root.get_by_text("高级")).to_be_visible()
    form.root.get_by_text("高级").click()
    expect(form.root.get_by_text("时间上限")).to_be_visible()
    _check(form.root)
    pictures.take(f"chinese-form-{theme}")


def test_a_page_is_in_chinese(lab: Lab, theme: str, pictures: Pictures) -> None:
    lab.show_sidebar()
    lab.page.locator('#kpl-section-tasks .kpl-Row[data-name="训练"]').press("Enter")
    lab.resource.wait("训练", "失败")
    for tab in ("曲线", "用量", "参数", "概览"):
        panel = lab.resource.tab(tab)
        expect(panel.locator(".kpl-Skeleton")).to_have_count(0)
        _check(lab.resource.root)
    pictures.take(f"chinese-page-{theme}")


def _check(root: Locator) -> None:
    assert english_texts(root) == []
    assert cut_texts(root) == []
    assert faint_texts(root) == []


def _draw(folder: Path) -> None:
    for name, colour in (("苹果", "red"), ("香蕉", "yellow")):
        (folder / name).mkdir()
        Image.new("RGB", (8, 8), colour).save(folder / name / "1.png")
