"""Chromium before a real installation; what is needed to understand a failure is kept."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests.docker_installation import docker_installation
from tests.engines.docker_harness import TestDaemon
from tests.installation import ROOT, Installation, running_installation
from tests.kubernetes.harness import why_not
from tests.kubernetes_installation import kubernetes_installation
from tests.ui.pictures import Pictures

RESULTS = ROOT / "ui-tests" / "results"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = {"width": 1440, "height": 900}
PATIENCE_MS = 20_000


@contextmanager
def logs_kept(running: AbstractContextManager[Installation]) -> Iterator[Installation]:
    """Keep what an installation has logged, beside its pictures."""
    with running as found:
        try:
            yield found
        finally:
            kept = results_of(found.engine) / "logs"
            shutil.copytree(found.home / "logs", kept, dirs_exist_ok=True)


def results_of(engine: str) -> Path:
    """Return where what the browser showed of an engine's installation is kept."""
    return RESULTS if engine == "local" else RESULTS / engine


@pytest.fixture(scope="session")
def on_local() -> Iterator[Installation]:
    """An installation that everything in this folder shares."""
    with logs_kept(running_installation("kpl-ui-")) as found:
        yield found


@pytest.fixture(scope="session")
def on_docker(daemon: TestDaemon) -> Iterator[Installation]:
    """The same on Docker."""
    with logs_kept(docker_installation("kpl-uidk-", daemon)) as found:
        yield found


@pytest.fixture(scope="session")
def on_kubernetes() -> Iterator[Installation]:
    """The same on the cluster of ``KUBECONFIG``."""
    if reason := why_not():
        pytest.skip(reason)
    with logs_kept(kubernetes_installation("kpl-uik8-")) as found:
        yield found


@pytest.fixture(scope="module")
def installation(on_local: Installation) -> Installation:
    """What the browser looks at; modules may choose others."""
    return on_local


# Not for the session: Playwright keeps an event loop, which tests elsewhere need for themselves.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """The driver of the browser."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def context(playwright: Playwright, installation: Installation) -> Iterator[BrowserContext]:
    """A fresh profile; what the walk signs in stays signed in until the module ends."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium; `apt-get install chromium`")
    with tempfile.TemporaryDirectory(prefix="kpl-chromium-") as profile:
        opened = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program,
            headless=True,
            args=list(ARGUMENTS),
            viewport=SIZE,  # type: ignore[arg-type] # a TypedDict there, a plain one here
            base_url=installation.url,
            color_scheme="light",
            locale="en-US",
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        opened.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(context: BrowserContext) -> Page:
    """The one tab in which a module walks."""
    return context.pages[0]


@pytest.fixture(scope="module")
def pictures(page: Page, installation: Installation) -> Pictures:
    """Takes pictures; those of the documentation are replaced when ``KPL_PICTURES`` is set."""
    is_wanted = os.environ.get("KPL_PICTURES") and installation.engine == "local"
    kept = ROOT / "docs" / "images" if is_wanted else None
    return Pictures(page, results_of(installation.engine), kept)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the browser showed when a test failed, and remember that the walk broke off."""
    report = yield
    if not report.failed:
        return report
    page, engine = getattr(item, "funcargs", {}).get("page"), _engine_of(item)
    if isinstance(page, Page) and not page.is_closed():
        kept = results_of(engine or "local")
        kept.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", item.name)
        page.screenshot(path=kept / f"failed-{name}.png")
        (kept / f"failed-{name}.html").write_text(page.content())
    if item.parent is not None:
        item.parent.stash.setdefault(BROKEN_OFF, {})[engine] = item.name
    return report


BROKEN_OFF = pytest.StashKey[dict[str, str]]()


def _engine_of(item: pytest.Item) -> str:
    """Return the engine that a test of a walk on several of them is for."""
    parameters = getattr(item, "callspec", None)
    return str(parameters.params.get("installation", "")) if parameters else ""


@pytest.fixture(autouse=True)
def walk_goes_on(request: pytest.FixtureRequest) -> None:
    """Leave a step out where the step before it failed: it would fail for that reason."""
    parent = request.node.parent
    broken = parent and parent.stash.get(BROKEN_OFF, {}).get(_engine_of(request.node))
    if broken and not os.environ.get("KPL_UI_GO_ON"):
        pytest.skip(f"the walk broke off at {broken}")
