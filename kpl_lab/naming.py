"""Names: what users may choose, and names of objects made from them.

A user's name may hold any letters, also Chinese, and spaces; object names (workloads, route
keys, unit names) are derived injectively so that no crafted name can reach another user's
object (the class of KubeSpawner's CVE-2020-15110).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from kpl_lab.errors import Invalid

NAME_MAX_LENGTH = 128
_FORBIDDEN = set('/\\:*?"<>|@#%\x7f')
_SAFE_PART = re.compile(r"[^a-z0-9]+")


def check_name(name: str, *, what: str = "name") -> str:
    """Return ``name`` in its one stored form (NFC, trimmed), or refuse it.

    Parameters
    ----------
    name
        What a user typed.
    what
        The noun for the error message.

    Raises
    ------
    Invalid
        Empty, too long, all digits, dots at the start, or with characters that paths and
        references (``NAME:VERSION``) need for themselves.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise Invalid(f"The {what} is empty; give it at least one letter.", code="invalid_name")
    if len(clean) > NAME_MAX_LENGTH:
        raise Invalid(
            f"The {what} has {len(clean)} characters; at most {NAME_MAX_LENGTH} are allowed.",
            code="invalid_name",
        )
    bad = sorted({c for c in clean if c in _FORBIDDEN or unicodedata.category(c)[0] == "C"})
    if bad:
        shown = " ".join(repr(c) for c in bad)
        raise Invalid(
            f"The {what} {clean!r} holds {shown}, which names cannot have; leave it out.",
            code="invalid_name",
        )
    if clean.isdigit():
        raise Invalid(
            f"The {what} {clean!r} is all digits and would be mistaken for an id; add a letter.",
            code="invalid_name",
        )
    if clean.startswith((".", "-")):
        raise Invalid(
            f"The {what} {clean!r} starts with {clean[0]!r}; start it with a letter.",
            code="invalid_name",
        )
    return clean


def slug(text: str, *, max_length: int = 40) -> str:
    """Return an ASCII form of ``text`` for file and object names; different texts differ.

    The readable part may be cut or empty; eight hex digits of SHA-256 make it injective in
    practice whenever the text is not already its own slug.
    """
    folded = _SAFE_PART.sub("-", text.lower()).strip("-")
    if folded and folded == text and len(folded) <= max_length:
        return folded
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    head = folded[: max_length - 9].strip("-")
    return f"{head}-{digest}" if head else f"x-{digest}"


def split_reference(reference: str) -> tuple[str, int | None]:
    """Split ``NAME`` or ``NAME:VERSION`` into name (or id) and version number.

    Raises
    ------
    Invalid
        The part after the colon is not a positive whole number.
    """
    name, colon, version = reference.rpartition(":")
    if not colon:
        return reference, None
    if not version.removeprefix("v").isdigit() or int(version.removeprefix("v")) < 1:
        raise Invalid(
            f"{reference!r} does not end in a version number; write NAME or NAME:3.",
            code="invalid_reference",
        )
    return name, int(version.removeprefix("v"))


def distribution_name(name: str) -> str:
    """Return the one form of a Python distribution's name.

    https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", name).lower()
