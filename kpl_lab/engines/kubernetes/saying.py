"""What is said to somebody who waits for a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.spec import Step

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Saying:
    """A sentence, and the facts behind it.

    Attributes
    ----------
    code
        Stable word for machines; empty: there is nothing to say.
    text
        Cause and next step.
    is_progress
        All goes well; the text says how far it is.
    step
        Where it stands on its way.
    is_hopeless
        It will not come by itself: somebody has to change something first.
    """

    code: str = ""
    text: str = ""
    is_progress: bool = False
    is_hopeless: bool = False
    step: Step = Step.QUEUED
    detail: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> Json:
        """Return it as the detail of an end: code, sentence, and what fills other sentences of it."""
        plain = {
            name: value
            for name, value in self.detail.items()
            if name != "message" and isinstance(value, (str, int, float))
        }
        return {**plain, "error": self.text, "code": self.code}


NOTHING = Saying()


def whole(said: str) -> str:
    """Return what somebody else said as a sentence that another one can follow."""
    said = said.strip()
    return said if said.endswith((".", "!", "?")) else f"{said}."
