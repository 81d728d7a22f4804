"""The reference pages name everything that the platform reads and gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.formats import environment_yml as known
from kpl_lab.platform.domain import contract

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
KEYS = {
    *known._ROOT_KEYS,
    *known._IMAGE_KEYS,
    *known._DEPLOY_KEYS,
    *known._LIMIT_KEYS,
    *known._INTERFACE_KEYS,
    *known._PARAMETER_FORMATS,
    *known._FIELD_KEYS,
    *("limits", "requests", "key", "kind", "optional"),
}


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_of_environment_yml_is_explained(key: str) -> None:
    page = (REFERENCE / "environment-yml.md").read_text("utf-8")
    assert f"`{key}`" in page


def test_every_variable_of_a_run_is_explained() -> None:
    page = (REFERENCE / "environment-variables.md").read_text("utf-8")
    facts = contract.Facts(
        kind="pipeline", id=1, token="", metric_token="", api_url="http://a", parameters={}
    )
    given = {**contract.variables(facts), **contract.single_node(gpus=0)}
    assert [name for name in given if f"`{name}`" not in page] == []


def test_the_example_of_the_page_is_accepted() -> None:
    page = (REFERENCE / "environment-yml.md").read_text("utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    found = known.parse_environment(example, strict=True)
    assert list(found.functions) == ["train", "deploy"]
