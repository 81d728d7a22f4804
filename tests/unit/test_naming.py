"""Names: what users may choose, and object names that cannot be crafted to collide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl_lab.errors import Invalid
from kpl_lab.naming import check_name, slug, split_reference


@pytest.mark.parametrize("name", ["digits", "水果检测", "My data set", "a1", "été", "v2.0-cpu"])
def test_names_may_hold_any_letters_spaces_and_dots(name: str) -> None:
    assert check_name(name) == name


def test_a_name_has_one_stored_form_whatever_form_was_typed() -> None:
    assert check_name("  e\u0301te\u0301 ") == "\u00e9t\u00e9"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("123", "all digits"),
        ("a/b", "'/'"),
        ("a:b", "':'"),
        ("..", "starts with"),
        ("-rf", "starts with"),
        ("a\nb", "'\\n'"),
        ("a\x00b", "'\\x00'"),
        ("a\u202eb", "cannot have"),
        ("x" * 129, "at most 128"),
    ],
)
def test_a_bad_name_is_refused_with_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert says in caught.value.message


@given(st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=2, unique=True))
def test_different_texts_have_different_slugs(texts: list[str]) -> None:
    assert slug(texts[0]) != slug(texts[1])


@given(st.text(max_size=300))
def test_a_slug_is_short_plain_ascii(text: str) -> None:
    made = slug(text)
    assert 0 < len(made) <= 40
    assert made.isascii()
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("digits", ("digits", None)), ("digits:3", ("digits", 3)), ("digits:v3", ("digits", 3))],
)
def test_a_reference_is_a_name_and_perhaps_a_version(
    reference: str, expected: tuple[str, int | None]
) -> None:
    assert split_reference(reference) == expected


@pytest.mark.parametrize("reference", ["digits:", "digits:x", "digits:0", "digits:-1"])
def test_a_reference_with_a_wrong_version_is_refused(reference: str) -> None:
    with pytest.raises(Invalid, match="version number"):
        split_reference(reference)
