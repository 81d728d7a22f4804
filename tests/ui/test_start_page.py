"""The start page in a browser, of catalogs and machines that an installation of tests has not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, expect

from kpl_lab.hub import options, start_page
from kpl_lab.hub.texts import catalogs
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import ImageView
from tests.hub.test_start_page import capacity, image, scene
from tests.ui.conftest import ARGUMENTS, BROWSERS, PATIENCE_MS
from tests.ui.contrast import faint_texts
from tests.ui.pages.hub import StartPage
from tests.ui.texts import cut_texts

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]
PARTS = Path(start_page.TEMPLATES) / "kpl"
SCRIPTS = ("texts", "limits", "start", "lists")
ADDRESS = "http://hub.test/hub/spawn"
PAGE = """<!doctype html><html data-bs-theme="{theme}"><head><meta charset="utf-8">
<style>{css}</style></head><body><main class="kpl-Page">
<h1>Start a notebook server</h1><form id="spawn_form" action="{address}" method="post">{form}</form>
</main><script id="kpl-catalogs" type="application/json">{catalogs}</script>{scripts}</body></html>"""
ROOMY = image("base", title="Roomy", default=True)
SMALL = image(
    "small",
    title="Small work",
    default_resources=Resources(cpu=0.5, memory=1024, gpu=0, shm=32),
    max_resources=Resources(cpu=2, memory=4096, gpu=0, shm=512),
)
CUDA = image(
    "cuda",
    title="For GPUs",
    accelerator="gpu",
    framework="PyTorch",
    default_resources=Resources(cpu=2, memory=8192, gpu=1, shm=1024),
)
Opens = Callable[..., StartPage]


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium; `apt-get install chromium`")
    with playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS)) as opened:
        yield opened


def html(images: list[ImageView], theme: str, gpus: int) -> str:
    form = start_page.render(scene(images=images, capacity=capacity(gpus=gpus)))
    scripts = "".join(f"<script>{(PARTS / f'{n}.js').read_text()}</script>" for n in SCRIPTS)
    css = (PARTS / "hub.css").read_text()
    texts = json.dumps(catalogs())
    return PAGE.format(
        theme=theme, css=css, address=ADDRESS, form=form, catalogs=texts, scripts=scripts
    )


@pytest.fixture
def opens(browser: Browser) -> Iterator[Opens]:
    """Opens the start page of a catalog; whatever is sent to the hub is kept in ``sent``."""
    pages: list[Page] = []

    def open_page(
        *images: ImageView,
        has_scripts: bool = True,
        language: str = "en-US",
        theme: str = "light",
        gpus: int = 1,
        sent: list[str] | None = None,
    ) -> StartPage:
        page = browser.new_page(java_script_enabled=has_scripts, locale=language)
        page.set_default_timeout(PATIENCE_MS)
        pages.append(page)

        def answer(route: Route) -> None:
            if route.request.method == "POST" and sent is not None:
                sent.append(route.request.post_data or "")
            body = html(list(images), theme, gpus)
            route.fulfill(body=body, content_type="text/html; charset=utf-8")

        page.route("**/*", answer)
        page.goto(ADDRESS)
        return StartPage(page)

    yield open_page
    for page in pages:
        page.close()


def limits(start: StartPage) -> dict[str, tuple[str, str | None]]:
    """Return value and maximum of each limit."""
    fields = {name: start.page.locator(f"#kpl-{name}") for name in ("cpu", "memory", "gpu", "shm")}
    return {name: (f.input_value(), f.get_attribute("max")) for name, f in fields.items()}


def test_the_limits_follow_the_environment_that_is_chosen_by_keyboard(opens: Opens) -> None:
    start = opens(ROOMY, SMALL, CUDA)
    assert limits(start)["cpu"] == ("1", "8")
    start.page.locator("input[name=image]:checked").focus()
    start.page.keyboard.press("ArrowDown")
    assert limits(start) == {
        "cpu": ("0.5", "2"),
        "memory": ("1024", "4096"),
        "gpu": ("0", "0"),
        "shm": ("32", "512"),
    }
    start.limit("CPU cores").fill("3")
    expect(start.page.locator("#kpl-cpu-most")).to_have_text("Small work is given at most 2 CPU.")
    expect(start.wrong("cpu")).to_have_text("Small work is given at most 2 CPU; choose less.")
    expect(start.command).to_contain_text("--image small --cpu 3 --memory 1024")


def test_a_preset_above_the_maximum_is_closed_and_says_why(opens: Opens) -> None:
    start = opens(ROOMY, SMALL)
    large = start.card("Large")
    expect(large.locator("input")).to_be_enabled()
    start.card("Small work").click()
    expect(large.locator("input")).to_be_disabled()
    expect(large).to_contain_text("Small work is given at most 2 CPU.")
    start.card("Roomy").click()
    expect(large.locator("input")).to_be_enabled()
    expect(large).not_to_contain_text("at most")


def test_what_was_chosen_is_kept_and_lowered_where_it_must_be(opens: Opens) -> None:
    start = opens(ROOMY, SMALL)
    start.card("Large").click()
    start.card("Small work").click()
    lowered = start.page.locator("#kpl-lowered")
    expect(lowered).to_contain_text("CPU cores lowered from 4 to 2: that is the most here.")
    expect(lowered).to_contain_text("Memory lowered from 8 GiB to 4 GiB")
    start.limit("CPU cores").fill("1")
    expect(lowered).to_be_hidden()


def test_an_environment_for_gpus_brings_one_or_a_warning(opens: Opens) -> None:
    start = opens(ROOMY, CUDA)
    start.card("For GPUs").click()
    assert limits(start)["gpu"] == ("1", "1")
    expect(start.warning).to_be_hidden()
    start.limit("GPUs").fill("0")
    expect(start.warning).to_contain_text("made for a GPU, and none is chosen")
    start = opens(ROOMY, CUDA, gpus=0)
    start.card("For GPUs").click()
    assert limits(start)["gpu"] == ("0", "0")
    expect(start.warning).to_contain_text("made for a GPU, and none is chosen")


def test_environments_are_narrowed_down(opens: Opens) -> None:
    start = opens(ROOMY, SMALL, CUDA)
    cards = start.page.locator("#kpl-images > label:visible")
    expect(cards).to_have_count(3)
    chip = start.page.get_by_role("button", name="PyTorch", exact=True)
    chip.press("Enter")
    expect(cards).to_have_count(1)
    chip.press("Enter")
    expect(cards).to_have_count(3)


@pytest.mark.parametrize(("preset", "cpu", "memory"), [(None, 1.0, 2048), ("Medium", 2.0, 4096)])
def test_without_scripts_the_form_sends_what_was_chosen(
    opens: Opens, preset: str | None, cpu: float, memory: int
) -> None:
    sent: list[str] = []
    start = opens(ROOMY, CUDA, has_scripts=False, sent=sent)
    start.card("For GPUs").click()
    if preset:
        start.card(preset).click()
    start.start_button.click()
    start.wait()
    chosen = options.read(options.from_form(parse_qs(sent[0])))
    assert (chosen.image, chosen.cpu, chosen.memory) == ("cuda", cpu, memory)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_speaks_chinese_and_can_be_read(opens: Opens, theme: str) -> None:
    start = opens(ROOMY, SMALL, CUDA, language="zh-CN", theme=theme)
    start.card("Small work").click()
    expect(start.card("大")).to_contain_text("Small work 最多可用 2 CPU。")
    start.page.locator("#kpl-exact summary").click()
    expect(start.page.locator("#kpl-memory-most")).to_have_text("Small work 最多可用 4 GiB。")
    root = start.page.locator("main")
    assert faint_texts(root) == []
    assert cut_texts(root) == []
