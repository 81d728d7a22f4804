"""Traits of the platform, set in ``$KPL_HOME/platform.py``."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from kpl_lab.platform.settings import PlatformOptions, load_options
from kpl_lab.settings import Settings


def test_without_a_file_the_defaults_hold(settings: Settings) -> None:
    options = load_options(settings.home)
    assert (options.cpu_overcommit, options.code_limit_mb) == (4.0, 50)


def test_the_file_sets_them(settings: Settings) -> None:
    (settings.home.root / "platform.py").write_text(
        "c = get_config()  # noqa\nc.PlatformOptions.code_limit_mb = 200\n"
    )
    assert load_options(settings.home).code_limit_mb == 200


def test_a_wrong_type_is_refused(settings: Settings) -> None:
    (settings.home.root / "platform.py").write_text("c.PlatformOptions.code_limit_mb = 'many'\n")
    with pytest.raises(TraitError, match="code_limit_mb"):
        load_options(settings.home)


def test_every_trait_can_be_set_and_says_what_it_is() -> None:
    for name, trait in PlatformOptions.class_traits(config=True).items():
        assert trait.help.endswith("."), name
