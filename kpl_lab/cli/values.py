"""Values of options: ``KEY=VALUE``, references and YAML-typed parameters, refused as usage errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
import yaml

from kpl_lab.errors import KplError
from kpl_lab.naming import check_name, split_reference
from kpl_lab.schemas.tasks import SaveAs, TaskInput

T = TypeVar("T")

KINDS = ("dataset", "model")


class Parsed(click.ParamType[Any]):
    """An option type made of a function; what it refuses is a usage error with its sentence.

    Parameters
    ----------
    name
        Shown in the help, e.g. ``K=V``.
    parse
        Makes the value of the text, or raises ``ValueError`` or ``KplError``.
    """

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's own signature
        """Return the parsed value; a value that is parsed already stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except KplError as error:
            self.fail(error.message, param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_pair(text: str) -> tuple[str, str]:
    """Split ``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"{text!r} is not KEY=VALUE.")
    return key.strip(), value


def parse_parameter(text: str) -> tuple[str, Any]:
    """Split ``A.B=V`` and read V as YAML: ``3`` is a number, ``"3"`` a text, ``[1, 2]`` a list."""
    key, value = parse_pair(text)
    if not all(part.strip() for part in key.split(".")):
        raise ValueError(f"{key!r} has an empty part; write names with single dots between them.")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(
            f"{value!r} is not a YAML value; quote it, e.g. {key}='\"{value}\"'."
        ) from error


def parse_input(text: str) -> TaskInput:
    """Read ``KEY=dataset:NAME[:VERSION]`` or ``KEY=model:NAME[:VERSION]``."""
    key, kind, reference = _parse_assignment(text, "NAME[:VERSION]")
    name, version = split_reference(reference)
    return TaskInput.model_validate(
        {"key": key, "kind": kind, "name": _reference_name(name), "version": version}
    )


def parse_save_as(text: str) -> SaveAs:
    """Read ``OUTPUT=model:NAME`` or ``OUTPUT=dataset:NAME``."""
    output, kind, name = _parse_assignment(text, "NAME")
    return SaveAs.model_validate({"output": output, "kind": kind, "name": check_name(name)})


def _parse_assignment(text: str, what: str) -> tuple[str, str, str]:
    key, equals, rest = text.partition("=")
    kind, colon, name = rest.partition(":")
    if not (equals and key and colon and name) or kind not in KINDS:
        raise ValueError(f"{text!r} is not KEY=dataset:{what} or KEY=model:{what}.")
    return key, kind, name


def _reference_name(name: str) -> str:
    return name if name.isdigit() else check_name(name)


def parse_reference(text: str) -> str:
    """Check ``NAME[:VERSION]`` and return it as it is."""
    name, _ = split_reference(text)
    _reference_name(name)
    return text


def parse_name(text: str) -> str:
    """Check a new name and return it in its stored form."""
    return check_name(text)


def parse_tagged(text: str) -> str:
    """Check the name of an image, also as ``docker build`` takes it: names of the catalog have no tags.

    ``vision:1.0`` becomes ``vision-1.0``, ``vision:latest`` becomes ``vision``.
    """
    name, _, tag = text.partition(":")
    return check_name(f"{name}-{tag}" if tag and tag != "latest" else name)


def merged(pairs: Iterable[tuple[str, T]], option: str) -> dict[str, T]:
    """Make a mapping of pairs; the same key twice is a usage error."""
    found: dict[str, T] = {}
    for key, value in pairs:
        if key in found:
            raise click.UsageError(f"{option} names {key!r} twice; which one is meant?")
        found[key] = value
    return found


PAIR = Parsed("K=V", parse_pair)
PARAMETER = Parsed("A.B=V", parse_parameter)
INPUT = Parsed("KEY=dataset|model:NAME[:VERSION]", parse_input)
SAVE_AS = Parsed("OUTPUT=model|dataset:NAME", parse_save_as)
REFERENCE = Parsed("NAME[:VERSION]", parse_reference)
NEW_NAME = Parsed("NAME", parse_name)
TAGGED = Parsed("NAME[:TAG]", parse_tagged)
