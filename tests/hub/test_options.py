"""What a user may choose for a server, from the start page or in a request."""

from typing import Any

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.hub import options
from kpl_lab.schemas.common import Resources


def test_the_form_gives_the_same_options_as_a_request() -> None:
    form = {
        "image": ["base"],
        "cpu": ["2"],
        "memory": ["4096"],
        "gpu": ["0"],
        "shm": [" 64 "],
        "mounts": ["digits", "水果 检测"],
        "_xsrf": ["x"],
        "preset": [""],
    }
    request = {
        "image": "base",
        "cpu": 2,
        "memory": 4096,
        "gpu": 0,
        "shm": 64,
        "mounts": ["digits", "水果 检测"],
    }
    assert options.read(options.from_form(form)) == options.read(request)


def test_a_preset_stands_for_its_limits_where_no_script_has_filled_them_in() -> None:
    form = {"cpu": ["1"], "memory": ["2048"], "preset": ["cpu=4&memory=8192&gpu=0&shm=64&x=1"]}
    chosen = options.read(options.from_form(form))
    assert chosen == options.Choice(cpu=4, memory=8192, gpu=0, shm=64)


def test_what_is_not_named_comes_from_the_image() -> None:
    choice = options.read({"memory": 4096})
    assert choice.resources(Resources(cpu=3, memory=100, gpu=1, shm=7)) == Resources(
        cpu=3, memory=4096, gpu=1, shm=7
    )


def test_zero_gpus_are_a_choice() -> None:
    assert options.read({"gpu": 0}).resources(Resources(gpu=1)).gpu == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cpu": "many"}, "'many' is no amount of CPU cores"),
        ({"cpu": "nan"}, "no amount of CPU cores"),
        ({"cpu": 0}, "at least 0.01"),
        ({"memory": 100.5}, "write a whole number"),
        ({"memory": -1}, "no amount of memory in MiB"),
        ({"gpu": float("inf")}, "no amount of GPUs"),
        ({"mounts": "digits"}, "mounts is a list"),
        ({"mounts": [1]}, "mounts is a list"),
        ({"memroy": 1}, "memroy: no such field"),
    ],
)
def test_a_wrong_value_names_field_and_remedy(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        options.read(given)
