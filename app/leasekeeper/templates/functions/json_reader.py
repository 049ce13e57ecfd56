"""JSON as Go's encoding/json reads it: every number a float64, and Go's error messages."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.quoting import quote_rune

_SURROGATE = re.compile("[\ud800-\udfff]")


def from_json(text: str, *, lenient: bool = False) -> Any:
    """Return what *text* says: float64 for every number, U+FFFD for what is not Unicode.

    *lenient* lets a number that is too large be 0, where Go leaves the value as it is.

    :raises GoError: with Go's message if *text* is not JSON.
    """
    number = _number_or_zero if lenient else _number
    if text.startswith("\ufeff"):
        _unexpected("\ufeff", "looking for beginning of value")
    try:
        value = json.loads(text, parse_int=number, parse_float=number, parse_constant=_constant)
    except (ValueError, RecursionError):
        _Fault(text).explain()
    if "\\u" in text or _SURROGATE.search(text):
        return _without_surrogates(value)
    return value


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        msg = f"json: cannot unmarshal number {text} into Go value of type float64"
        raise GoError(msg)
    return number


def _number_or_zero(text: str) -> float:
    number = float(text)
    return 0.0 if math.isinf(number) else number


def _constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which only Python reads


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _unexpected(char: str, context: str) -> NoReturn:
    msg = f"invalid character {quote_rune(ord(char))} {context}"
    raise GoError(msg)


class _Fault:
    """Finds the first fault of a text that is not JSON and names it as Go does.

    Only used after Python's much faster parser has refused the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def explain(self) -> NoReturn:
        try:
            self._value()
        except RecursionError:
            msg = "exceeded max depth"
            raise GoError(msg) from None
        self._space()
        _unexpected(self._peek(), "after top-level value")

    def _peek(self) -> str:
        if self._at >= len(self._text):
            msg = "unexpected end of JSON input"
            raise GoError(msg)
        return self._text[self._at]

    def _space(self) -> str:
        while (char := self._peek()) in " \t\r\n":
            self._at += 1
        return char

    def _skip(self, pattern: str) -> None:
        match = re.compile(pattern).match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _value(self) -> None:
        char = self._space()
        if char == "{":
            self._object()
        elif char == "[":
            self._array()
        elif char == '"':
            self._string()
        elif char in "-0123456789":
            self._number()
        elif char in "tfn":
            self._literal({"t": "true", "f": "false", "n": "null"}[char])
        else:
            _unexpected(char, "looking for beginning of value")

    def _object(self) -> None:
        self._at += 1
        if self._space() == "}":
            self._at += 1
            return
        while True:
            if (char := self._space()) != '"':
                _unexpected(char, "looking for beginning of object key string")
            self._string()
            if (char := self._space()) != ":":
                _unexpected(char, "after object key")
            self._at += 1
            self._value()
            if self._separator("}", "after object key:value pair"):
                return

    def _array(self) -> None:
        self._at += 1
        if self._space() == "]":
            self._at += 1
            return
        while True:
            self._value()
            if self._separator("]", "after array element"):
                return

    def _separator(self, end: str, context: str) -> bool:
        char = self._space()
        if char not in {",", end}:
            _unexpected(char, context)
        self._at += 1
        return char == end

    def _string(self) -> None:
        self._at += 1
        while (char := self._peek()) != '"':
            if char == "\\":
                self._escape()
            elif char < " ":
                _unexpected(char, "in string")
            else:
                self._at += 1
        self._at += 1

    def _escape(self) -> None:
        start = self._at
        self._at += 1
        char = self._peek()
        self._at += 1
        if char == "u":
            for _ in range(4):
                self._peek()
                self._at += 1
            valid = re.fullmatch("[0-9a-fA-F]{4}", self._text[start + 2 : self._at])
        else:
            valid = re.fullmatch('["\\\\/bfnrt]', char)
        if not valid:
            msg = f"invalid escape sequence `{self._text[start : self._at]}` in string"
            raise GoError(msg)

    def _number(self) -> None:
        self._skip("-")
        self._digits("0|[1-9][0-9]*")
        if self._text[self._at : self._at + 1] == ".":
            self._at += 1
            self._digits("[0-9]+")
        if self._text[self._at : self._at + 1] in {"e", "E"}:
            self._at += 1
            self._skip("[+-]")
            self._digits("[0-9]+")

    def _digits(self, pattern: str) -> None:
        if not (char := self._peek()).isascii() or not char.isdigit():
            _unexpected(char, "in numeric literal")
        self._skip(pattern)

    def _literal(self, word: str) -> None:
        for expected in word:
            if (char := self._peek()) != expected:
                _unexpected(char, f"in literal {word} (expecting '{expected}')")
            self._at += 1


functions = FunctionTable()


@functions.add("parseJSON", "string")
def parse_json(text: str) -> Any:
    """Return what *text* says; nothing is an empty map."""
    return from_json(text) if text else {}
