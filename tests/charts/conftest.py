"""Fixtures of the chart's tests: left out by name where helm cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.helm import CHART, NoHelm, binary, helm

Objects = list[dict[str, Any]]
Render = Callable[..., Objects]


@pytest.fixture(scope="session", autouse=True)
def _has_helm() -> Iterator[None]:
    try:
        binary()
    except NoHelm as error:
        pytest.skip(str(error))
    yield


@pytest.fixture(scope="session")
def render() -> Render:
    """Give what renders the chart: words for ``helm template``, answered with objects."""
    return rendered


def rendered(*words: str) -> Objects:
    """Return the objects of a release ``lab`` in the namespace ``here``."""
    said = helm("template", "lab", str(CHART), "-n", "here", *words).stdout
    return [one for one in yaml.safe_load_all(said) if one]
