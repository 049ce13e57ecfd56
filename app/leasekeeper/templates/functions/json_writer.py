"""JSON as Go's encoding/json writes it, byte for byte.

The reference is Go 1.27. Where it differs from Python: keys are sorted by their bytes, ``< > &``
and the line separators are escaped, floats switch to an exponent at 1e21 and 1e-7, and numbers of
Vault stay as sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from leasekeeper.templates.functions.deep import check_extent
from leasekeeper.templates.functions.documents import TextStruct, is_nil, struct_members
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import (
    NIL_CONTAINERS,
    GoStruct,
    byte_length,
    encode,
    is_float,
    kind,
    type_name,
)
from leasekeeper.vault.response import JsonNumber

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff]')
_SPECIAL_IN_HTML = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff<>&]')


def to_json(value: Any, *, html: bool = True, indent: str = "") -> str:
    """Return *value* as JSON.

    *html* escapes ``< > &`` so that the text can stand in a page, which is Go's default. A
    non-empty *indent* puts every member on a line of its own.

    :raises GoError: if JSON has no words for the value.
    """
    check_extent(value)
    special = _SPECIAL_IN_HTML if html else _SPECIAL
    try:
        return _Writer(special, indent).value(value, "\n")
    except _NoName as fault:
        if indent:  # Go indents what it has written without
            return to_json(value, html=html)
        raise GoError(fault.located) from None


class _NoName(GoError):
    """A key of a map is no text. *pointer* leads to the map, *offset* is how far the writer is."""

    def __init__(self) -> None:
        super().__init__("json: unsupported value: jsontext: object member name must be a string")
        self.pointer = ""
        self.offset = 2

    def inside(self, name: str, before: Iterable[str]) -> None:
        """Note that the map is, or is in, the member *name*, before which there are others."""
        self.pointer = f"/{name.replace('~', '~0').replace('/', '~1')}{self.pointer}"
        self.offset += 1 + sum(byte_length(part) + 1 for part in before)

    @property
    def located(self) -> str:
        """The message, and where it was."""
        within = f" within {quote(self.pointer)}" if self.pointer else ""
        return f"{self}{within} after offset {self.offset}"


class _Writer:
    def __init__(self, special: re.Pattern[str], indent: str) -> None:
        self._special = special
        self._indent = indent
        self._colon = ": " if indent else ":"

    def value(self, value: Any, newline: str) -> str:
        """Return *value*; *newline* is a line break and the indentation around it."""
        kind_of = kind(value)
        if is_nil(value) or type(value) in NIL_CONTAINERS:
            return "null"
        if type(value) is JsonNumber:
            return str(value)
        if kind_of == "string":
            return self._string(value)
        if kind_of in {"map", "slice", "struct"}:
            return self._compound(value, newline)
        if kind_of == "bool":
            return "true" if value else "false"
        if is_float(value):
            return _float(value)
        if isinstance(value, int):
            return str(int(value))
        msg = f"json: unsupported type: {type_name(value)}"
        raise GoError(msg)

    def _compound(self, value: Any, newline: str) -> str:
        if isinstance(value, TextStruct):
            return self._string(value.marshal_text())
        inner = newline + self._indent
        parts: list[str] = []
        if isinstance(value, list):
            for at, item in enumerate(value):
                try:
                    parts.append(self.value(item, inner))
                except _NoName as fault:
                    fault.inside(str(at), parts)
                    raise
            return self._block("[]", parts, newline)
        members = struct_members(value) if isinstance(value, GoStruct) else _sorted(value)
        for name, member in members:
            try:
                parts.append(self._member(name, member, inner))
            except _NoName as fault:
                fault.inside(name, [*parts, self._string(name)])
                raise
        return self._block("{}", parts, newline)

    def _block(self, brackets: str, members: list[str], newline: str) -> str:
        if not members:
            return brackets
        first, last = (newline + self._indent, newline) if self._indent else ("", "")
        return f"{brackets[0]}{first}{f',{first}'.join(members)}{last}{brackets[1]}"

    def _member(self, name: str, value: Any, newline: str) -> str:
        return f"{self._string(name)}{self._colon}{self.value(value, newline)}"

    def _string(self, text: str) -> str:
        return f'"{self._special.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":  # a byte that is not UTF-8
        return "\ufffd"
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _float(value: float) -> str:
    if not math.isfinite(value):
        msg = f"json: unsupported value: {format_float(value)}"
        raise GoError(msg)
    if value and not 1e-6 <= abs(value) < 1e21:
        return re.sub("e-0", "e-", format_float(value, "e"))
    return format_float(value, "f")


def _sorted(value: dict[Any, Any]) -> list[tuple[str, Any]]:
    named = [(_member_name(key), member) for key, member in value.items()]
    return sorted(named, key=lambda pair: encode(pair[0]))


def _member_name(key: Any) -> str:
    if type(key) is str:
        return key
    if isinstance(key, int) and kind(key) != "bool":
        return str(int(key))
    raise _NoName


functions = FunctionTable()


def _writer(name: str, *, html: bool, indent: str) -> None:
    @functions.add(name, "interface {}")
    def write(value: Any) -> str:
        try:
            return to_json(value, html=html, indent=indent)
        except GoError as error:
            msg = f"{name}: {error}"
            raise GoError(msg) from None


_writer("toJSON", html=True, indent="")
_writer("toJSONPretty", html=True, indent="  ")
_writer("toUnescapedJSON", html=False, indent="")
_writer("toUnescapedJSONPretty", html=False, indent="  ")
