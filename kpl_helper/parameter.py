"""Parameters of a run: merged by the platform, or the algorithm's own ``parameter.yml``."""

from __future__ import annotations

import json
import os
import sys

from kpl_helper.base import get_config, logger
from kpl_helper.errors import MissingParameterError, ParameterError, ParameterFileNotFoundError

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn


class DotDict(dict[str, "Any"]):
    """A dict whose items are attributes too, at every depth and inside lists.

    Parameters
    ----------
    values
        Nested mappings become `DotDict` as well.

    Notes
    -----
    A parameter with the name of a dict method (``items``, ``keys``, ``copy`` …) is reached as ``p["items"]``.
    """

    def __init__(self, values: Mapping[str, object] | Iterable[tuple[str, object]] = ()) -> None:
        super().__init__()
        for key, value in dict(values).items():
            self[key] = _dotted(value)

    def __missing__(self, key: object) -> NoReturn:
        known = ", ".join(str(name) for name in self) or "none"
        raise MissingParameterError(f"there is no parameter {key!r} here; known: {known}")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the author's own type
        if name.startswith("__") and name.endswith("__"):
            # copy, pickle and numpy ask for such names and expect a plain "no".
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = _dotted(value)

    def __delattr__(self, name: str) -> None:
        if name not in self:
            self.__missing__(name)
        del self[name]

    def __reduce__(self) -> tuple[type[DotDict], tuple[dict[str, Any]]]:
        return (DotDict, (dict(self),))


def _dotted(value: object) -> object:
    if isinstance(value, dict) and not isinstance(value, DotDict):
        return DotDict(value)
    if isinstance(value, list):
        return [_dotted(item) for item in value]
    return value


_parameter: DotDict | None = None


def get_parameter(default: str | os.PathLike[str] | None = "./parameter.yml") -> DotDict:
    """Return the parameters; every call returns the same object.

    Parameters
    ----------
    default
        Path of the local parameter file; read outside the platform and in a notebook.

    Raises
    ------
    ParameterFileNotFoundError
        When the local file is needed and not there.
    ParameterError
        When what was found is not a mapping, or PyYAML is missing.
    """
    global _parameter
    if _parameter is None:
        config = get_config()
        if config.local_files:
            _parameter = _from_file(default)
        else:
            _parameter = _from_json(config.parameter or "{}")
    return _parameter


def _from_json(text: str) -> DotDict:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ParameterError(f"KPL_ENV_PARAMETER is not JSON: {error}") from error
    return _mapping(value, "KPL_ENV_PARAMETER")


def _from_file(path: str | os.PathLike[str] | None) -> DotDict:
    if not path:
        raise ParameterError(
            "no parameters: outside the platform get_parameter needs the path of a parameter file"
        )
    from pathlib import Path

    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ParameterFileNotFoundError(
            f"parameter file {os.fspath(path)} does not exist in {Path.cwd()}; "
            "give its path as get_parameter(default=...)"
        ) from error
    return _mapping(_parse(text, os.fspath(path)), os.fspath(path))


def _parse(text: str, path: str) -> object:
    try:
        import yaml
    except ImportError:
        try:
            return json.loads(text)
        except ValueError:
            raise ParameterError(
                f"PyYAML is needed to read {path}: pip install PyYAML (a file in JSON can be read without)"
            ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from error


def _mapping(value: object, source: str) -> DotDict:
    if value is None:
        return DotDict()
    if not isinstance(value, dict):
        raise ParameterError(
            f"{source} holds a {type(value).__name__}; parameters are a mapping of names to values"
        )
    return DotDict(value)


def write_parameter() -> None:
    """Write the platform's parameters to the file named on the command line (``khelper write FILE``).

    JSON is valid YAML, so any later reader of a ``parameter.yml`` takes the file. Exits with status 1
    when the command line names no file; a file that cannot be written is reported in the log.
    """
    if len(sys.argv) < 3 or sys.argv[1] != "write":
        logger.error("Usage: `khelper write <yml file>` writes the parameters to that file")
        sys.exit(1)
    from pathlib import Path

    path = Path(sys.argv[2])
    text = get_config().parameter
    if not text:
        logger.error("There are no parameters to write: KPL_ENV_PARAMETER is not set")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        logger.error("Parameters could not be written to %s: %s", path, error)
