"""Which translations the hub's pages carry, made from JupyterHub's templates and ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import ChainableUndefined, ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH
from markupsafe import Markup

from kpl_lab.hub import config
from kpl_lab.hub.texts import catalogs, page_catalogs, template_vars

OURS = Path(config.__file__).parent / "templates"
STOCK = Path(DATA_FILES_PATH) / "templates"
# Pages of ours that show what the platform says, and 404, which JupyterHub makes of our error page.
WITH_THE_PLATFORM_S = [*(path.stem for path in OURS.glob("*.html") if path.stem != "page"), "404"]
CATALOG = re.compile(r'<script id="kpl-catalogs" type="application/json">(.*?)</script>', re.S)


class Somebody:
    """A user and server, as far as the pages look at them."""

    name = escaped_name = json_escaped_name = "alice"

    def all_spawners(self, **_: Any) -> list[Any]:
        return []


async def page(name: str, *, is_async: bool = True) -> str:
    """Return a page as the hub makes it: those of errors without its loop."""
    loader = ChoiceLoader(
        [
            PrefixLoader({"templates": FileSystemLoader(STOCK)}, "/"),
            FileSystemLoader([OURS, STOCK]),
        ]
    )
    environment = Environment(
        loader=loader, autoescape=True, enable_async=is_async, undefined=ChainableUndefined
    )
    somebody = Somebody()
    given = {
        "user": somebody,
        "spawner": somebody,
        "progress_url": "/progress",
        "static_url": lambda path, **_: path,
        "kpl_history": list,
        **template_vars(),
    }
    template = environment.get_template(f"{name}.html")
    return await template.render_async(given) if is_async else template.render(given)


def texts_of(html: str) -> Any:
    (found,) = CATALOG.findall(html)
    return json.loads(found)


def test_the_texts_are_written_out_before_any_page_asks() -> None:
    for text in template_vars().values():
        assert isinstance(text, Markup)
        assert "<" not in text


@pytest.mark.parametrize("name", WITH_THE_PLATFORM_S)
async def test_a_page_that_shows_what_the_platform_says_has_its_sentences(name: str) -> None:
    assert texts_of(await page(name)) == page_catalogs()


@pytest.mark.parametrize("name", ["error", "404"])
async def test_an_error_page_has_them_where_the_hub_has_no_loop(name: str) -> None:
    assert texts_of(await page(name, is_async=False)) == page_catalogs()


@pytest.mark.parametrize("name", ["login", "token", "stop_pending"])
async def test_a_page_of_jupyterhub_s_own_has_the_hub_s_texts_alone(name: str) -> None:
    assert texts_of(await page(name)) == catalogs()


async def test_a_start_is_followed_by_our_script_alone() -> None:
    html = await page("spawn_pending")
    assert "EventSource" in html
    assert "progress-bar" not in html
    assert html.index("kplText =") < html.index("kpl-start-facts")
