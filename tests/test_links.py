"""A link in a page leads to a file of this repository, and to a heading that is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
NAMED = re.compile(r'<a (?:id|name)="([^"]+)"')
ELSEWHERE = ("http://", "https://", "mailto:")


def pages() -> list[str]:
    """Return the Markdown files of the repository, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def anchors(page: Path) -> set[str]:
    """Return what a link to a place of this page may name, made of its headings as GitHub does."""
    text = FENCE.sub("", page.read_text())
    found = set(NAMED.findall(text))
    for heading in HEADING.findall(text):
        said = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", said.lower()).replace(" ", "-")
        again = 0
        while (f"{name}-{again}" if again else name) in found:
            again += 1
        found.add(f"{name}-{again}" if again else name)
    return found


def broken(page: Path) -> list[str]:
    """Return the links of this page that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(ELSEWHERE):
            continue
        path, _, place = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        inside = there.is_relative_to(ROOT) and there.exists()
        if not inside or (place and there.suffix == ".md" and place not in anchors(there)):
            found.append(link)
    return found


@pytest.mark.parametrize("name", pages())
def test_every_link_leads_somewhere(name: str) -> None:
    assert broken(ROOT / name) == []


def test_a_link_to_what_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# A `kpl` heading, with a dot.\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-kpl-heading-with-a-dot) [c](#here) [d](https://kpl.test)\n"
        "[e](gone.md) [f](other.md#nowhere) [g](#there) [h](../outside.md)\n```\n[i](code.md)\n```\n"
    )
    assert broken(page) == ["gone.md", "other.md#nowhere", "#there", "../outside.md"]
