"""Writes ``docs/reference/helm-values.md`` from the chart's schema and default values.

python -m tools.helm_values [--check]     with --check: says whether the page is as it should be
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "kpl-lab"
PAGE = ROOT / "docs" / "reference" / "helm-values.md"
_HEAD = """# Values of the chart

Written by `python -m tools.helm_values` from `charts/kpl-lab/values.schema.json` and `values.yaml`. Values files that come with the chart:
`values-minimal.yaml` (one small node) and `values-air-gapped.yaml` (nothing from the internet).
How to install it: [Install on Kubernetes](../howto/install-kubernetes.md).

| value | default | |
|---|---|---|
"""
_LONG = 60


def rows(schema: dict[str, Any], defaults: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 (any JSON)
    """Yield a row of the table for each value that can be set."""
    for name, one in schema["properties"].items():
        place = f"{path}.{name}" if path else name
        if name not in defaults:
            continue
        if "properties" in one:
            yield f"| **`{place}`** | | {one['description']} |"
            yield from rows(one, defaults[name], place)
        else:
            yield f"| `{place}` | {_default(defaults[name])} | {one['description']}{_choice(one)} |"


def _default(value: Any) -> str:  # noqa: ANN401 (any JSON)
    text = json.dumps(value, ensure_ascii=False)
    return (
        "" if value in ("", [], {}) else f"`{text}`" if len(text) <= _LONG else "see `values.yaml`"
    )


def _choice(schema: dict[str, Any]) -> str:
    found = [f"`{one}`" for one in schema.get("enum", []) if one]
    missing = [one for one in found if one not in schema["description"]]
    return f" One of {', '.join(found)}." if missing else ""


def page() -> str:
    """Return the page as it should be."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return _HEAD + "\n".join(rows(schema, defaults)) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    print(
        f"{PAGE.relative_to(ROOT)} is not what the chart says; run `python -m tools.helm_values`."
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
