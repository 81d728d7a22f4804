"""YAML with places: values together with the file and line they stand in, and their comments."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kpl_lab.errors import Invalid

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40


def invalid(file: str, node: Node | None, key: str, message: str) -> Invalid:
    """Return the error for one place of a file."""
    line = node.start_mark.line + 1 if node is not None else 1
    return Invalid(
        f"{file}, line {line}: {message}",
        code="invalid_file",
        detail={"file": file, "line": line, "key": key},
    )


def text_of(path: Path) -> str:
    """Return the text of a file; errors of the system go through.

    Raises
    ------
    Invalid
        It is no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = "the file is not UTF-8 text; save it as UTF-8."
        raise invalid(path.name, None, "", problem) from error


@dataclass(frozen=True)
class Place:
    """A node of a YAML file, with its file and the dotted key that leads to it.

    Attributes
    ----------
    key_node
        The key itself, which may stand some lines above its value; None for entries of lists.
    """

    file: str
    node: Node
    key: str = ""
    key_node: Node | None = None

    def error(self, message: str) -> Invalid:
        """Return an error that names this place."""
        return invalid(self.file, self.node, self.key, message)

    @property
    def value(self) -> object:
        """The plain value: dict, list, str, int, float, bool or None."""
        return _SafeValues().build(self.node)

    @property
    def key_line(self) -> int:
        """The line, from 1, that the key stands in."""
        return int((self.key_node or self.node).start_mark.line) + 1

    def _child(self, key: str, node: Node, key_node: Node | None = None) -> Place:
        return Place(self.file, node, f"{self.key}.{key}" if self.key else key, key_node)

    def mapping(self) -> dict[str, Place]:
        """Return the children by key.

        Raises
        ------
        Invalid
            It is not a mapping, or a key stands twice.
        """
        if not isinstance(self.node, MappingNode):
            raise self.error(f"{self.key or 'the file'} must be a mapping of keys to values.")
        found: dict[str, Place] = {}
        for key_node, value_node in self.node.value:
            if not isinstance(key_node, ScalarNode):
                raise invalid(self.file, key_node, self.key, "a key must be a single word.")
            if key_node.value in found:
                raise invalid(
                    self.file, key_node, self.key, f"the key {key_node.value!r} stands twice."
                )
            found[key_node.value] = self._child(key_node.value, value_node, key_node)
        return found

    def sequence(self) -> list[Place]:
        """Return the entries of a list.

        Raises
        ------
        Invalid
            It is not a list.
        """
        if not isinstance(self.node, SequenceNode):
            raise self.error(f"{self.key} must be a list (lines that start with `- `).")
        return [self._child(str(i), node) for i, node in enumerate(self.node.value)]

    def text(self) -> str:
        """Return a text; numbers are taken as they are written."""
        value = self.value
        if isinstance(self.node, ScalarNode) and value is not None and not isinstance(value, bool):
            return str(self.node.value)
        raise self.error(f"{self.key} must be a text.")

    def word(self) -> str:
        """Return a text that is not blank."""
        text = self.text()
        if not text.strip():
            raise self.error(f"{self.key} is empty; write something there.")
        return text

    def number(
        self, *, whole: bool = True, at_least: float = 0, at_most: float = math.inf
    ) -> float:
        """Return a number within bounds, both included."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            raise self.error(f"{self.key} must be {kind}, not {self._shown()}.")
        if not at_least <= value:
            raise self.error(f"{self.key} must be at least {at_least:g}, not {value}.")
        if not value <= at_most:
            raise self.error(f"{self.key} must be at most {at_most:g}, not {value}.")
        return float(value)

    def flag(self) -> bool:
        """Return true or false."""
        value = self.value
        if not isinstance(value, bool):
            raise self.error(f"{self.key} must be true or false, not {self._shown()}.")
        return value

    def choice(self, allowed: Iterable[str]) -> str:
        """Return one of ``allowed``."""
        words = list(allowed)
        text = self.text()
        if text not in words:
            raise self.error(f"{self.key} must be one of {', '.join(words)}, not {text!r}.")
        return text

    def _shown(self) -> str:
        return repr(self.node.value) if isinstance(self.node, ScalarNode) else "a list or mapping"


class _SafeValues(yaml.SafeLoader):
    """Turns nodes into plain values, the safe kinds alone."""

    def __init__(self) -> None:
        super().__init__("")

    def build(self, node: Node) -> object:
        """Return the value of ``node``."""
        return self.construct_document(node)


def parse(text: str, file: str) -> Place | None:
    """Return the root of a YAML text; None when it holds nothing.

    Raises
    ------
    Invalid
        Not YAML, too large, too deep, or with aliases that grow without bound.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise invalid(file, None, "", f"the file is larger than {MAX_BYTES // 1024} KiB.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return None
        _bound(root, file)
        _SafeValues().build(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Invalid(
            f"{file}, line {line}: this is not YAML: {error.problem or error.context}.",
            code="invalid_file",
            detail={"file": file, "line": line, "key": ""},
        ) from error
    except RecursionError as error:
        raise invalid(file, None, "", "the file is nested too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise invalid(file, None, "", f"this is not YAML: {error}.") from error
    return Place(file, root)


def _bound(root: Node, file: str) -> None:
    """Refuse depth and alias bombs before values are made of them."""
    budget = 100_000
    waiting: list[tuple[Node, int]] = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        budget -= 1
        if depth > MAX_DEPTH or budget < 0:
            raise invalid(file, node, "", "the file is nested too deeply or repeats itself.")
        children: Iterator[Node] = iter(())
        if isinstance(node, MappingNode):
            children = (part for pair in node.value for part in pair)
        elif isinstance(node, SequenceNode):
            children = iter(node.value)
        waiting += [(child, depth + 1) for child in children]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known key that ``word`` is nearly, if any."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.75)
    return found[0] if found else None


def check_keys(
    found: dict[str, Place], known: Iterable[str], where: str, *, strict: bool
) -> list[str]:
    """Refuse keys that are nearly known ones; return warnings about the other unknown ones.

    A key that is nearly a known one is let through where it cannot be meant: the known one is
    there too, and this one holds a plain text (``output: /output`` beside ``outputs``, as the
    original manual prints it).

    Raises
    ------
    Invalid
        A near miss, or with ``strict`` any unknown key.
    """
    words = list(known)
    warnings = []
    for key, place in found.items():
        if key in words:
            continue
        near = nearest(key, words)
        hint = f"; did you mean {near!r}?" if near else "."
        allowed = f"Allowed are: {', '.join(words)}."
        leftover = near in found and isinstance(place.node, ScalarNode)
        if strict or (near is not None and not leftover):
            raise invalid(
                place.file,
                place.key_node or place.node,
                place.key,
                f"{key!r} is not a key of {where}{hint} {allowed}",
            )
        warnings.append(
            f"{place.file}, line {place.key_line}: {key!r} is not a key of {where} and is ignored{hint} "
            f"{allowed}"
        )
    return warnings


def comment_of(lines: list[str], place: Place, key_line: int) -> str:
    """Return the comment that belongs to a key: behind it, else the lines just above it."""
    line = lines[key_line] if key_line < len(lines) else ""
    end = place.node.end_mark
    if isinstance(place.node, ScalarNode) and end.line == key_line:
        tail = line[end.column :].strip()
        if tail.startswith("#"):
            return tail.lstrip("# ").strip()
    elif not isinstance(place.node, ScalarNode) and "#" in line:
        return line.partition("#")[2].strip()
    above: list[str] = []
    at = key_line - 1
    while at >= 0 and lines[at].strip().startswith("#"):
        above.insert(0, lines[at].strip().lstrip("# ").strip())
        at -= 1
    return " ".join(above)
