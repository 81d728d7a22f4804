"""``python -m kpl_lab.platform.openapi [FILE]``: the API's description, made of its routes.

It is committed as ``docs/reference/openapi.json``; the TypeScript types are made of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kpl_lab.platform.api import FRONT_DOOR_PATHS, PUBLIC_PATHS
from kpl_lab.platform.api.middleware import MEDIA_TYPE
from kpl_lab.platform.app import API_PREFIX, create_api
from kpl_lab.schemas.common import Event, Problem, ResourceView

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
OPEN_PATHS = PUBLIC_PATHS + FRONT_DOOR_PATHS
_REFERENCE = "#/components/schemas/{model}"


def describe() -> dict[str, Any]:
    """Return the OpenAPI document.

    What FastAPI writes by itself is put right in three places: every refusal is a problem
    document, every route but the public ones wants a token, and answers always hold all fields.
    """
    document = create_api().openapi()
    schemas = document["components"]["schemas"]
    for model in (Problem, Event, ResourceView):
        made = model.model_json_schema(ref_template=_REFERENCE)
        schemas |= made.pop("$defs", {})
        schemas[model.__name__] = made
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    asked = _asked_for(document)
    for name, schema in schemas.items():
        if name not in asked and "properties" in schema:
            schema["required"] = list(schema["properties"])
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`token <t>` or `Bearer <t>`: a token of the hub.",
        }
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _mend(operation, is_public=path.removeprefix(API_PREFIX) in OPEN_PATHS)
    return document


def _asked_for(document: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that requests are made of; their defaults may be left out."""
    schemas = document["components"]["schemas"]
    operations = [o for path in document["paths"].values() for o in path.values()]
    waiting = [name for o in operations for name in _referenced(o.get("requestBody"))]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _referenced(schemas[name])
    return found


def _referenced(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for entry in node for name in _referenced(entry)]
    if not isinstance(node, dict):
        return []
    own = [str(node["$ref"]).rpartition("/")[2]] if "$ref" in node else []
    return own + [name for entry in node.values() for name in _referenced(entry)]


def _mend(operation: dict[str, Any], *, is_public: bool) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "Refused or failed.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
    }
    operation["parameters"] = [
        p for p in operation.get("parameters", ()) if p["name"] != "authorization"
    ]
    if not operation["parameters"]:
        del operation["parameters"]
    if not is_public:
        operation["security"] = [{"token": []}]


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(describe(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document to the file that is named, else where it is committed."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
