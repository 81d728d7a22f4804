"""The image catalog in JupyterLab: an environment is registered, looked into, changed and deleted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from kpl_lab.formats.catalog_yml import SHIPPED
from tests.installation import Installation
from tests.ui.contrast import faint_texts
from tests.ui.names import unnamed_controls
from tests.ui.pages.hub import SignIn
from tests.ui.pages.lab import Lab
from tests.ui.pictures import Pictures
from tests.ui.texts import cut_texts, english_texts

BUILT = (
    "version: 1\nimage: {from_image: base, runs: [echo made here]}\ntrain: {cmd: python3 main.py}\n"
)
VERSION = re.compile(r"/kpl-lab/api/version\b")
LANGUAGE = "@jupyterlab/translation-extension:plugin"
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(page: Page, installation: Installation) -> Iterator[Lab]:
    """JupyterLab of an administrator."""
    installation.kpl("server", "start", "--image", "base")
    door = SignIn(page)
    door.open()
    door.sign_in("admin", installation.password)
    page.wait_for_url("**/user/admin/lab**")
    page.goto("/user/admin/lab/workspaces/images")
    lab = Lab(page, installation)
    lab.wait()
    yield lab
    # Other modules begin with a server that is not started.
    installation.kpl("server", "stop")


@pytest.fixture(scope="module")
def environment(installation: Installation) -> Path:
    """Where an environment will be: there is none yet."""
    return installation.home / "environments" / "fresh"


@pytest.fixture
def engine_with_containers(page: Page) -> Iterator[None]:
    """Let the page take the engine for one with containers, which has fields of its own."""

    def changed(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "engine": "docker"})

    page.route(VERSION, changed)
    yield
    page.unroute(VERSION)


@pytest.fixture
def broken_file(installation: Installation) -> Iterator[Path]:
    """The administrator's catalog file with a typing error; gone afterwards."""
    file = installation.home / "images.yml"
    file.write_text(SHIPPED.read_text().replace("framework:", "framewrok:", 1))
    yield file
    file.unlink(missing_ok=True)


def test_the_catalog_is_in_the_sidebar(lab: Lab) -> None:
    row = lab.show_sidebar().row("images", "base")
    expect(row).to_contain_text(re.compile(r"CPU · scikit-learn \d.*Python 3\.\d+"))


def test_an_environment_is_registered_by_a_form(
    lab: Lab, environment: Path, pictures: Pictures
) -> None:
    lab.show_sidebar().section("images")
    lab.page.get_by_role("button", name="Register image…").first.click()
    form = lab.form
    form.wait("Register image")
    form.fill("Folder of the environment", "relative/path")
    expect(form.field("Name")).to_have_value("path")
    form.send("Register")
    expect(form.root.get_by_role("alert").first).to_contain_text("no folder from the root")
    form.fill("Folder of the environment", str(environment))
    expect(form.field("Name")).to_have_value("fresh")
    form.fill("Description", "Made by hand")
    assert unnamed_controls(form.root) == []
    expect(form.card).to_contain_text("kpl image register fresh")
    expect(form.card).to_contain_text("--description 'Made by hand'")
    pictures.take("image-form")
    form.send("Register")
    lab.resource.wait("fresh", "failed")


def test_what_could_not_be_had_is_looked_at_again(
    lab: Lab, environment: Path, pictures: Pictures
) -> None:
    page = lab.resource
    expect(page.notice).to_contain_text(f"The environment {environment} does not exist")
    pictures.take("image-failed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    page.button("Look again").click()
    page.wait("fresh", "ready")
    overview = page.tab("Overview")
    expect(overview).to_contain_text("cannot start from it: it has no JupyterLab")
    expect(overview).to_contain_text(str(environment))
    expect(lab.show_sidebar().row("images", "fresh")).to_contain_text("Python 3.")


def test_it_is_edited_beside_the_command_that_does_the_same(lab: Lab, pictures: Pictures) -> None:
    page = lab.resource
    edit = page.tab("Edit")
    edit.get_by_label("Title").fill("Fresh from the venv")
    edit.get_by_label("Visible to").select_option("public")
    most = edit.get_by_role("group", name="At most")
    most.get_by_label("CPU cores").fill("4")
    expect(edit.get_by_role("status")).to_have_text("Give all four, or leave all empty.")
    for label, value in (("Memory, MiB", "8192"), ("GPUs", "0"), ("Shared memory, MiB", "256")):
        most.get_by_label(label, exact=True).fill(value)
    expect(edit).to_contain_text("kpl image set fresh")
    expect(edit).to_contain_text("--max memory=8192")
    pictures.take("image-edit")
    edit.get_by_role("button", name="Save").click()
    expect(edit.get_by_role("status")).to_have_text("Nothing is changed.")
    overview = page.tab("Overview")
    expect(overview).to_contain_text("8 GiB")
    expect(overview).to_contain_text("everybody")
    expect(page.root.locator(".kpl-Page-facts")).to_contain_text("Fresh from the venv")


def test_it_is_taken_offline_and_brought_back(lab: Lab) -> None:
    page = lab.resource
    page.button("Take offline").click()
    page.wait("fresh", "offline")
    expect(lab.show_sidebar().row("images", "fresh")).to_contain_text("offline")
    page.button("Bring online").click()
    page.wait("fresh", "ready")


def test_it_is_deleted_when_its_name_was_typed(lab: Lab) -> None:
    lab.resource.delete("fresh")
    expect(lab.show_sidebar().row("images", "fresh")).to_have_count(0)


def test_an_image_is_built_of_a_folder(lab: Lab, pictures: Pictures) -> None:
    lab.write_project("vision", BUILT, "")
    section = lab.show_sidebar().section("images")
    lab.page.get_by_role("button", name="Build image…").first.click()
    form = lab.form
    form.wait("Build image")
    form.fill("Folder or file", "vision")
    expect(form.field("Name")).to_have_value("vision")
    expect(form.card).to_contain_text("kpl image build ~/vision")
    assert unnamed_controls(form.root) == []
    pictures.take("build-form")
    form.send("Build")
    page = lab.resource
    page.wait("vision", "succeeded", seconds=120)
    expect(page.tab("Log")).to_contain_text("made here")
    pictures.take("build")
    expect(section.locator('[data-kind="builds"]')).to_have_count(0)
    page.notice.get_by_role("button", name="vision").click()
    page.wait("vision", "ready")
    overview = page.tab("Overview")
    expect(overview).to_contain_text("built here")
    overview.get_by_role("button", name=re.compile("^Build, ")).click()
    page.wait("vision", "succeeded")


def test_builds_that_have_ended_are_listed_with_why_they_failed(
    lab: Lab, pictures: Pictures
) -> None:
    wrong = lab.write_project("wrong", BUILT.replace("echo made here", "exit 3"), "")
    lab.page.get_by_role("button", name="Build image…").first.click()
    form = lab.form
    form.wait("Build image")
    form.fill("Folder or file", wrong)
    form.send("Build")
    page = lab.resource
    page.wait("wrong", "failed", seconds=120)
    lab.show_sidebar().section("images").get_by_role("button", name="All builds").click()
    rows = page.root.locator(".kpl-Builds tbody tr")
    expect(rows.first).to_contain_text("wrong")
    expect(rows.first).to_contain_text("build failed")
    expect(rows.first).to_contain_text("exit 3")
    made = rows.filter(has_text="vision")
    expect(made).to_contain_text("succeeded")
    expect(made).to_contain_text("admin")
    assert unnamed_controls(page.root) == []
    for theme in ("Dark", "Light"):
        lab.use_theme(theme)
        assert faint_texts(page.root) == []
        pictures.take(f"builds-{theme.lower()}")
    # The second of the two links leads to the image, where the same build is listed.
    made.get_by_role("button", name="vision").last.click()
    page.wait("vision", "ready")
    expect(page.tab("Builds").locator("tbody tr")).to_have_count(1)
    pictures.take("image-builds")
    page.delete("vision")


def test_secrets_of_a_dockerfile_are_hidden_and_gone_once_they_are_sent(
    lab: Lab, engine_with_containers: None, pictures: Pictures
) -> None:
    value = "open sesame"
    (lab.user_home / "vision" / "Dockerfile").write_text("FROM base\n")
    sent: list[Request] = []

    def keep(request: Request) -> None:
        sent.append(request)

    lab.page.on("request", keep)
    lab.show_sidebar().section("images")
    lab.page.get_by_role("button", name="Build image…").first.click()
    form = lab.form
    form.wait("Build image")
    form.fill("Folder or file", "vision")
    form.unfold("Dockerfile")
    form.root.get_by_role("button", name="Add a secret").press("Enter")
    expect(form.field("Secret id")).to_be_focused()
    lab.page.keyboard.type("npm")
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.type(value)
    expect(form.field("Value")).to_have_attribute("type", "password")
    expect(form.card).to_contain_text("--secret id=npm,src=npm.txt")
    expect(form.root).not_to_contain_text(value)
    assert unnamed_controls(form.root) == []
    for theme in ("Dark", "Light"):
        lab.use_theme(theme)
        assert faint_texts(form.root) == []
        pictures.take(f"build-secrets-{theme.lower()}")
    form.send("Build")
    # This installation has no containers; so much has to be true of what it was asked.
    expect(form.root.get_by_role("alert").first).to_contain_text("Docker")
    expect(form.field("Value")).to_have_value("")
    expect(form.card).to_contain_text("Type the value of the secret “npm”.")
    assert [one.method for one in sent if value in (one.post_data or "")] == ["POST"]
    assert [one.url for one in sent if "sesame" in one.url] == []
    lab.page.remove_listener("request", keep)
    (lab.user_home / "vision" / "Dockerfile").unlink()


def test_what_was_installed_in_the_server_is_saved(lab: Lab, pictures: Pictures) -> None:
    lab.show_sidebar().section("images")
    save = lab.page.get_by_role("button", name="Save environment as image…").first
    save.click()
    form = lab.form
    form.wait("Save environment")
    expect(form.root.get_by_role("alert").first).to_contain_text("Nothing was installed since")
    lab.open_terminal()
    assert "Successfully installed" in lab.run_in_terminal("pip install tomli-w==1.2.0")
    save.click()
    expect(form.root).to_contain_text("1 package beyond base")
    expect(form.root).to_contain_text("tomli_w==1.2.0")
    form.fill("Name", "saved here")
    expect(form.card).to_contain_text("kpl image save 'saved here'")
    assert unnamed_controls(form.root) == []
    pictures.take("environment-form")
    form.send("Save")
    page = lab.resource
    page.wait("saved here", "succeeded", seconds=120)
    page.notice.get_by_role("button", name="saved here").click()
    page.wait("saved here", "ready")
    page.delete("saved here")


def test_what_the_file_keeps_is_changed_in_the_file(lab: Lab, pictures: Pictures) -> None:
    lab.show_sidebar().open("images", "base")
    page = lab.resource
    page.wait("base", "ready")
    pictures.take("image", for_documentation=True)
    expect(page.button("Delete…")).to_have_count(0)
    expect(page.tab("Edit")).to_contain_text("This image stands in the catalog file images.yml")
    packages = page.tab("Packages")
    packages.get_by_role("searchbox").fill("scikit")
    expect(packages.get_by_role("row", name="scikit-learn")).to_be_visible()


def test_a_broken_file_is_told_with_its_line_for_as_long_as_it_is(
    lab: Lab, broken_file: Path, pictures: Pictures
) -> None:
    section = lab.show_sidebar().section("images")
    wrong = section.locator(".kpl-Notice")
    expect(wrong).to_contain_text(re.compile(r"images\.yml, line \d+: .*did you mean 'framework'"))
    expect(lab.resource.notice).to_contain_text("images.yml, line")
    # The last good one stays.
    expect(lab.sidebar.row("images", "base")).to_contain_text("scikit-learn")
    pictures.take("catalog-broken")
    broken_file.unlink()
    expect(wrong).to_have_count(0)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_can_be_read_in_chinese_and_in_the_dark(
    lab: Lab,
    broken_file: Path,
    engine_with_containers: None,
    pictures: Pictures,
    theme: str,
) -> None:
    lab.use_theme(theme)
    lab.set(LANGUAGE, {"locale": "zh_CN"})
    try:
        panel = lab.show_sidebar().panel
        expect(panel.locator(".kpl-Notice")).to_be_visible()
        panel.locator('#kpl-section-images .kpl-Row[data-name="base"]').press("Enter")
        page = lab.resource
        page.wait("base", "就绪")
        for tab in ("软件包", "编辑", "概览"):
            page.tab(tab)
            for found in (english_texts, cut_texts, faint_texts):
                assert found(page.root) == []
        assert english_texts(panel) == []
        assert faint_texts(panel) == []
        pictures.take(f"chinese-image-{theme.lower()}")
        lab.page.get_by_role("button", name="注册镜像…").first.click()
        form = lab.form
        form.wait("注册镜像")
        form.unfold("高级")
        for found in (english_texts, cut_texts, faint_texts):
            assert found(form.root) == []
        pictures.take(f"chinese-image-form-{theme.lower()}")
        lab.page.get_by_role("button", name="构建镜像…").first.click()
        form.wait("构建镜像")
        form.unfold("Dockerfile")
        form.root.get_by_role("button", name="添加密钥").click()
        for found in (english_texts, cut_texts, faint_texts):
            assert found(form.root) == []
        pictures.take(f"chinese-build-form-{theme.lower()}")
        lab.page.get_by_role("button", name="将环境保存为镜像…").first.click()
        form.wait("保存环境")
        expect(form.root.get_by_role("listitem").first).to_be_visible()
        for found in (english_texts, cut_texts, faint_texts):
            assert found(form.root) == []
    finally:
        lab.set(LANGUAGE, {})
        lab.use_theme("Light")
