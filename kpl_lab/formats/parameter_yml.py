"""``parameter.yml``: any mapping; the author's own. Values are defaults, comments are help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kpl_lab.errors import Invalid
from kpl_lab.formats.environment_yml import read_text
from kpl_lab.formats.yaml_marks import Place, comment_of, nearest, parse

FILE = "parameter.yml"


def parse_parameters(text: str, *, file: str = FILE) -> dict[str, Any]:
    """Return the parameters of a file; an empty file has none.

    Raises
    ------
    Invalid
        Not YAML, or not a mapping.
    """
    root = parse(text, file)
    if root is None:
        return {}
    root.mapping()
    value = root.value
    assert isinstance(value, dict)  # noqa: S101 (mapping() has seen to it)
    plain: dict[str, Any] = _plain(value, file)
    return plain


def read_parameters(folder: Path) -> dict[str, Any]:
    """Return the parameters of a code folder; none where it has no such file."""
    if not (folder / FILE).exists():
        return {}
    return parse_parameters(read_text(folder, FILE))


def _plain(value: Any, file: str) -> Any:  # noqa: ANN401 (any YAML value)
    """Return ``value`` as JSON can carry it: dates become text, keys become text."""
    if isinstance(value, dict):
        return {str(k): _plain(v, file) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v, file) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def parameter_schema(text: str, *, file: str = FILE) -> dict[str, Any]:
    """Return a JSON schema for the submit form: types and defaults from values, help from comments."""
    root = parse(text, file)
    if root is None:
        return {"type": "object", "properties": {}}
    return _object_schema(root, text.splitlines())


def _object_schema(place: Place, lines: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    children = place.mapping()
    key_lines = {k.value: k.start_mark.line for k, _ in place.node.value}
    for key, child in children.items():
        schema = _value_schema(child, lines)
        schema["title"] = key
        comment = comment_of(lines, child, key_lines[key])
        if comment:
            schema["description"] = comment
        properties[key] = schema
    return {"type": "object", "properties": properties}


def _value_schema(place: Place, lines: list[str]) -> dict[str, Any]:
    value = _plain(place.value, place.file)
    if isinstance(value, dict):
        return _object_schema(place, lines)
    if isinstance(value, list):
        return {"type": "array", "items": _items_schema(value), "default": value}
    if value is None:
        return {"type": ["string", "null"], "default": None}
    return {"type": _json_type(value), "default": value}


def _items_schema(values: list[Any]) -> dict[str, Any]:
    kinds = {_json_type(v) for v in values}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    return {"type": kinds.pop()} if len(kinds) == 1 and "object" not in kinds else {}


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "string"


def merge(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return ``defaults`` with what the submitter gave: nested, or with dotted keys.

    Raises
    ------
    Invalid
        A given key is not in ``parameter.yml``, or its type does not fit the default's.
    """
    merged: dict[str, Any] = _copy(defaults)
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            try:
                merged[key] = merge(merged[key], value)
            except Invalid as error:
                raise _wrong(f"{key}.{error.detail['key']}", error.detail["says"]) from error
        else:
            _set(merged, key, value)
    return merged


def _set(target: dict[str, Any], dotted: str, value: Any) -> None:  # noqa: ANN401
    *parents, last = [dotted] if dotted in target else dotted.split(".")
    for parent in parents:
        inner = target.get(parent)
        if not isinstance(inner, dict):
            raise _wrong(dotted, f"{FILE} has no group {parent!r}")
        target = inner
    if last not in target:
        group = "".join(f"{parent}." for parent in parents)
        near = nearest(last, target)
        hint = f"; did you mean {group}{near}?" if near else "."
        there = ", ".join(group + key for key in target) or "nothing"
        raise _wrong(dotted, f"{FILE} has no such parameter{hint} It has: {there}")
    target[last] = _fit(dotted, target[last], value)


def _fit(key: str, default: Any, value: Any) -> Any:  # noqa: ANN401
    """Return ``value`` in the type of ``default``; whole numbers fit where decimals stand."""
    if default is None or value is None:
        return value
    wanted, got = _json_type(default), _json_type(value)
    if wanted == got or (wanted == "string" and got not in ("object", "array")):
        return str(value) if wanted == "string" else value
    if wanted == "number" and got == "integer":
        return float(value)
    if wanted == "integer" and got == "number":
        return int(value) if float(value).is_integer() else value
    raise _wrong(key, f"must be of type {wanted} like its default {default!r}, not {value!r}")


def _wrong(key: str, says: str) -> Invalid:
    return Invalid(
        f"Parameter {key}: {says}.", code="bad_parameter", detail={"key": key, "says": says}
    )


def _copy(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return list(value) if isinstance(value, list) else value
