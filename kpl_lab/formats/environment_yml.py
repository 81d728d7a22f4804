"""``environment.yml``, format version 1 (runtime contract, section 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.errors import Invalid
from kpl_lab.formats.yaml_marks import Place, check_keys, invalid, parse, text_of
from kpl_lab.schemas.algorithms import FunctionView, PortView
from kpl_lab.schemas.common import Resources

FILE = "environment.yml"
FUNCTIONS = ("train", "test", "infer", "deploy", "compile")
DEFAULT_PORT = 8080
_ROOT_KEYS = ("version", "image", *FUNCTIONS)
_IMAGE_KEYS = ("from_image", "runs")
_FUNCTION_KEYS = ("resource", "inputs", "outputs", "cmd")
_DEPLOY_KEYS = (*_FUNCTION_KEYS, "port", "health", "interface")
_LIMIT_KEYS = ("cpu", "gpu", "memory", "shm")
# A typing error of three noughts is found here, not by a machine that never has room.
_MOST = {"gpu": 1024, "memory": 16 * 1024 * 1024, "shm": 16 * 1024 * 1024}
_INTERFACE_KEYS = ("name", "path", "method", "format", "inputs", "description")
_PARAMETER_FORMATS = ("params", "form", "json", "file", "text")
_FIELD_KEYS = ("name", "type", "required", "example", "description")


@dataclass(frozen=True)
class Environment:
    """A checked ``environment.yml``."""

    from_image: str
    runs: tuple[str, ...]
    functions: dict[str, FunctionView]
    warnings: tuple[str, ...] = field(default=())

    def function(self, name: str) -> FunctionView:
        """Return a function.

        Raises
        ------
        Invalid
            The file does not declare it.
        """
        if name not in self.functions:
            there = ", ".join(self.functions) or "none"
            raise Invalid(
                f"{FILE} declares no function {name!r}; it has: {there}. "
                f"Add a section `{name}:` with at least a `cmd`.",
                code="no_function",
                detail={"function": name, "declared": list(self.functions)},
            )
        return self.functions[name]


class _Reader:
    """Reads one file and gathers warnings on the way."""

    def __init__(self, file: str, strict: bool) -> None:
        self.file = file
        self.strict = strict
        self.warnings: list[str] = []

    def keys(self, place: Place, known: Iterable[str], where: str) -> dict[str, Place]:
        found = place.mapping()
        self.warnings += check_keys(found, known, where, strict=self.strict)
        return found

    def root(self, place: Place) -> Environment:
        found = self.keys(place, _ROOT_KEYS, FILE)
        for key in ("version", "image"):
            if key not in found:
                raise place.error(f"the key {key!r} is missing; it is required.")
        if found["version"].number(whole=False) != 1:
            raise found["version"].error(
                f"version must be 1, not {found['version'].text()}: there is no other yet."
            )
        image = self.keys(found["image"], _IMAGE_KEYS, "image")
        if "from_image" not in image:
            raise found["image"].error("the key 'from_image' is missing in image.")
        runs = image["runs"].sequence() if "runs" in image and image["runs"].value else []
        return Environment(
            from_image=image["from_image"].word(),
            runs=tuple(run.word() for run in runs),
            functions={n: self.function(n, found[n]) for n in FUNCTIONS if n in found},
            warnings=tuple(self.warnings),
        )

    def function(self, name: str, place: Place) -> FunctionView:
        known = _DEPLOY_KEYS if name == "deploy" else _FUNCTION_KEYS
        found = self.keys(place, known, name)
        if "cmd" not in found:
            unknown = [key for key in found if key not in known]
            instead = f" It has {unknown[0]!r}, which is not a key of it." if unknown else ""
            raise place.error(
                f"the key 'cmd' is missing in {name}; it is the one required key.{instead}"
            )
        view: dict[str, Any] = {
            "name": name,
            "cmd": found["cmd"].word(),
            "resources": self.resources(found["resource"]) if "resource" in found else Resources(),
            "inputs": self.ports(found, "inputs", name),
            "outputs": self.ports(found, "outputs", name),
        }
        if name == "deploy":
            view["port"] = self.port(found)
            view["health"] = self.address(found["health"]) if "health" in found else None
            view["interface"] = self.interface(found)
        return FunctionView(**view)

    def port(self, found: dict[str, Place]) -> int:
        if "port" not in found:
            return DEFAULT_PORT
        return int(found["port"].number(at_least=1, at_most=65535))

    def address(self, place: Place) -> str:
        path = place.text()
        if not path.startswith("/"):
            raise place.error(f"{place.key} must start with a slash, not {path!r}.")
        return path

    def resources(self, place: Place) -> Resources:
        found = self.keys(place, ("limits", "requests"), place.key)
        if "limits" not in found:
            raise place.error(f"the key 'limits' is missing in {place.key}.")
        if "requests" in found:
            self.limits(found["requests"])
        return self.limits(found["limits"])

    def limits(self, place: Place) -> Resources:
        found = self.keys(place, _LIMIT_KEYS, place.key)
        values: dict[str, float] = {}
        for key, entry in found.items():
            if key == "cpu":
                values[key] = entry.number(whole=False, at_least=0.01, at_most=1024)
            elif key in _LIMIT_KEYS:
                low = 16 if key == "memory" else 0
                values[key] = int(entry.number(at_least=low, at_most=_MOST[key]))
        return Resources.model_validate(values)

    def ports(self, found: dict[str, Place], which: str, function: str) -> list[PortView]:
        if which not in found or found[which].value is None:
            return []
        made: list[PortView] = []
        for place in found[which].sequence():
            port = self.one_port(place, which, function)
            if any(port.key == other.key for other in made):
                raise place.error(f"the key {port.key!r} stands twice in {function}.{which}.")
            made.append(port)
        return made

    def one_port(self, place: Place, which: str, function: str) -> PortView:
        keys = ("key", "name", "kind", "format") + (("optional",) if which == "inputs" else ())
        entry = self.keys(place, keys, f"an entry of {function}.{which}")
        if "key" not in entry:
            raise place.error(f"the key 'key' is missing in an entry of {function}.{which}.")
        key = entry["key"].text()
        if not key or key.startswith(".") or any(c in key for c in "/\\\0\n"):
            raise entry["key"].error(f"{key!r} cannot be a folder name; use a simple word.")
        kinds = ("dataset", "model") if which == "inputs" else ("dataset", "model", "files")
        return PortView(
            key=key,
            name=entry["name"].text() if "name" in entry else key,
            kind=entry["kind"].choice(kinds) if "kind" in entry else _kind(which, function, key),
            optional=entry["optional"].flag() if "optional" in entry else False,
            format=entry["format"].text() if "format" in entry else None,
            is_kind_declared="kind" in entry,
        )

    def interface(self, found: dict[str, Place]) -> list[dict[str, Any]]:
        if "interface" not in found or found["interface"].value is None:
            return []
        return [self.one_interface(place) for place in found["interface"].sequence()]

    def one_interface(self, place: Place) -> dict[str, Any]:
        entry = self.keys(place, _INTERFACE_KEYS, "an entry of deploy.interface")
        path = self.address(entry["path"]) if "path" in entry else "/"
        fields = entry["inputs"].sequence() if "inputs" in entry else []
        return {
            "name": entry["name"].text() if "name" in entry else path.strip("/") or "call",
            "path": path,
            "method": entry["method"].text().upper() if "method" in entry else "POST",
            "format": entry["format"].choice(_PARAMETER_FORMATS) if "format" in entry else "json",
            "description": entry["description"].text() if "description" in entry else "",
            "inputs": [self.one_field(f) for f in fields],
        }

    def one_field(self, place: Place) -> dict[str, Any]:
        entry = self.keys(place, _FIELD_KEYS, "an input of deploy.interface")
        if "name" not in entry:
            raise place.error("the key 'name' is missing in an input of deploy.interface.")
        return {
            "name": entry["name"].text(),
            "type": entry["type"].text() if "type" in entry else "String",
            "required": entry["required"].flag() if "required" in entry else False,
            "example": entry["example"].value if "example" in entry else None,
            "description": entry["description"].text() if "description" in entry else "",
        }


def _kind(which: str, function: str, key: str) -> str:
    """Return what a port holds where the file does not say it."""
    if which == "inputs":
        return "model" if "model" in key.lower() else "dataset"
    return "model" if function in ("train", "compile") else "files"


def parse_environment(text: str, *, file: str = FILE, strict: bool = False) -> Environment:
    """Return a checked ``environment.yml``.

    Raises
    ------
    Invalid
        Names file, line, key and what is allowed.
    """
    root = parse(text, file)
    if root is None:
        raise invalid(
            file, None, "", "the file is empty; it needs `version`, `image` and a function."
        )
    return _Reader(file, strict).root(root)


def read_environment(folder: Path, *, strict: bool = False) -> Environment:
    """Return the checked ``environment.yml`` of a code folder.

    Raises
    ------
    Invalid
        It is missing, unreadable or wrong.
    """
    return parse_environment(read_text(folder, FILE), strict=strict)


def read_text(folder: Path, name: str) -> str:
    """Return a YAML file's text; a missing or unreadable one is told in words."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise Invalid(
            f"The code folder has no {name}. Add one at its root: it says how the code is run. The "
            "example project `digits` in your home has one to begin with.",
            code="no_environment_yml",
            detail={"file": name},
        )
    return text_of(path)
