"""Protobuf's text format: the small part that ``*.meta`` files use.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. A message is read as a list of
(field name, value) pairs; a value is a nested list, `bytes` for a quoted string, or `str` for a
number or an enum's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Value = str | bytes | list[tuple[str, "Value"]]
    Message = list[tuple[str, Value]]

MAX_DEPTH = 200
_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<word>[\w.+-]+)
      | (?P<mark>[{}<>:,;\[\]])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_CLOSING = {"{": "}", "<": ">"}
_SHORT = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 39: "\\'", 92: "\\\\"}


class TextFormatError(ValueError):
    """The text is not a message in protobuf's text format."""


def quote(text: str) -> str:
    """Write a string as the original does: bytes above ASCII in octal, in double quotes."""
    escaped = (
        _SHORT.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in text.encode()
    )
    return '"' + "".join(escaped) + '"'


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = match.groups()
    if octal:
        return bytes((int(octal, 8) & 255,))
    if hexadecimal:
        return bytes((int(hexadecimal, 16),))
    return _NAMED.get(other, other)


def parse(text: str) -> Message:
    """Read a message.

    Raises
    ------
    TextFormatError
        The text is broken; the message says in which line.
    """
    return _Parser(text).message("", 0)


class _Parser:
    """A recursive-descent parser with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._kind = ""
        self._token = ""
        self._advance()

    def _advance(self) -> None:
        while True:
            if self._pos == len(self._text):
                self._kind = self._token = ""
                return
            match = _TOKEN.match(self._text, self._pos)
            if match is None:
                raise self._error(f"unexpected character {self._text[self._pos]!r}")
            self._pos = match.end()
            if match.lastgroup != "space":
                self._kind, self._token = match.lastgroup or "", match.group()
                return

    def _error(self, what: str) -> TextFormatError:
        line = self._text.count("\n", 0, self._pos) + 1
        return TextFormatError(f"line {line}: {what}")

    def _take(self, token: str) -> bool:
        if self._kind == "mark" and self._token == token:
            self._advance()
            return True
        return False

    def message(self, closing: str, depth: int) -> Message:
        """Read fields up to `closing`, or to the end of the text where it is empty."""
        if depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        fields: Message = []
        while not (closing and self._take(closing)):
            if not self._kind:
                if closing:
                    raise self._error(f"the text ends before a {closing!r}")
                return fields
            if self._kind != "word":
                raise self._error(f"expected a field name, found {self._token!r}")
            name = self._token
            self._advance()
            self._field(name, fields, depth)
        return fields

    def _field(self, name: str, fields: Message, depth: int) -> None:
        colon = self._take(":")
        if colon and self._take("["):
            while not self._take("]"):
                fields.append((name, self._value(depth)))
                self._take(",")
        elif not colon and self._token not in _CLOSING:
            raise self._error(f"expected a ':' behind {name!r}, found {self._token!r}")
        else:
            fields.append((name, self._value(depth)))
        if not self._take(","):
            self._take(";")

    def _value(self, depth: int) -> Value:
        for opening, closing in _CLOSING.items():
            if self._take(opening):
                return self.message(closing, depth + 1)
        if self._kind == "word":
            word = self._token
            self._advance()
            return word
        if self._kind != "text":
            raise self._error(f"expected a value, found {self._token or 'the end'!r}")
        pieces = []
        while self._kind == "text":
            pieces.append(_ESCAPE.sub(_unescape, self._token[1:-1].encode()))
            self._advance()
        return b"".join(pieces)
