"""Pictures of what the browser shows, for people to look at and for the documentation."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page


@dataclass(frozen=True)
class Pictures:
    """Takes pictures of one tab.

    Attributes
    ----------
    results
        Where every picture is kept; ignored by git.
    documentation
        Where those are kept that the documentation shows; None leaves them as they are.
    """

    page: Page
    results: Path
    documentation: Path | None

    def take(self, name: str, for_documentation: bool = False) -> None:
        """Keep what is seen now as ``name``.png."""
        # The pointer would light up whatever it was left on.
        self.page.mouse.move(0, 0)
        taken = self.page.screenshot(animations="disabled", caret="hide")
        folders = [self.results]
        if for_documentation and self.documentation:
            folders.append(self.documentation)
        # All its colours: a palette turns the greys of a page green.
        picture = Image.open(io.BytesIO(taken)).convert("RGB")
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{name}.png", optimize=True)
