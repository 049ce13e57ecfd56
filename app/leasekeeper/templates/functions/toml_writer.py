"""TOML as github.com/BurntSushi/toml writes it, byte for byte."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from leasekeeper.templates.functions.deep import check_extent
from leasekeeper.templates.functions.documents import (
    TextStruct,
    is_nil,
    is_span,
    number_of_vault,
    struct_members,
)
from leasekeeper.templates.functions.texts import trim_space
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.values import (
    GoMap,
    GoStruct,
    encode,
    is_float,
    kind,
)
from leasekeeper.vault.response import JsonNumber

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_SPECIAL = re.compile('["\\\\\x00-\x1f\x7f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}

Key = tuple[str, ...]


def to_toml(value: Any) -> str:
    """Return *value* as a TOML document; a bare value is written as it would stand after ``=``.

    :raises GoError: if TOML has no words for the value.
    """
    check_extent(value)
    writer = _Writer()
    writer.member((), value)
    return "".join(writer.parts)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def member(self, key: Key, value: Any) -> None:
        if _is_table(value):
            self._table(key, value)
        elif _is_array_of_tables(value):
            self._array_of_tables(key, value)
        else:
            self._assignment(key, value)

    def _assignment(self, key: Key, value: Any) -> None:
        if not key:
            self.parts.append(_element(value))
            return
        self.parts.append(f"{_indent(key)}{_key(key[-1:])} = {_element(value)}")
        self._newline()

    def _table(self, key: Key, value: Any) -> None:
        if len(key) == 1:
            self._newline()
        if key:
            self.parts.append(f"{_indent(key)}[{_key(key)}]")
            self._newline()
        self._members(key, value)

    def _array_of_tables(self, key: Key, tables: list[Any]) -> None:
        if not key:
            msg = "toml: top-level values must be Go maps or structs"
            raise GoError(msg)
        for table in tables:
            self._newline()
            self.parts.append(f"{_indent(key)}[[{_key(key)}]]")
            self._newline()
            self._members(key, table)

    def _members(self, key: Key, table: Any) -> None:
        for name, value in _direct_first(table):
            if not is_nil(value):
                self.member((*key, name), value)

    def _newline(self) -> None:
        if self.parts:
            self.parts.append("\n")


def _indent(key: Key) -> str:
    return "  " * (len(key) - 1)


def _key(key: Iterable[str]) -> str:
    return ".".join(part if _BARE_KEY.fullmatch(part) else _quoted(part) for part in key)


def _quoted(text: str) -> str:
    return f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    return _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, GoStruct) and not isinstance(value, TextStruct)
    )


def _is_array_of_tables(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    if any(is_nil(item) for item in value):
        msg = "toml: cannot encode array with nil element"
        raise GoError(msg)
    for item in value:
        _is_array_of_tables(item)  # a nil further down is an error as well
    return all(_is_table(item) for item in value)


def _direct_first(table: Any) -> list[tuple[str, Any]]:
    """Return the members in writing order: what is not a table must come before what is."""
    members = _members(table)
    is_sub = [_is_table(value) or _is_array_of_tables(value) for _, value in members]
    both = list(zip(members, is_sub, strict=True))
    return [member for member, sub in both if not sub] + [member for member, sub in both if sub]


def _members(table: Any) -> list[tuple[str, Any]]:
    if isinstance(table, GoStruct):
        return struct_members(table)
    if isinstance(table, GoMap) and table.key != "string":
        msg = "toml: cannot encode a map with non-string key type"
        raise GoError(msg)
    return sorted(table.items(), key=lambda pair: encode(pair[0]))


def _element(value: Any) -> str:
    if isinstance(value, TextStruct):
        return value.marshal_text() if value.go_literal else _quoted(value.marshal_text())
    if type(value) is JsonNumber:
        value = number_of_vault(value)
    if is_span(value):
        value = str(value)
    kind_of = kind(value)
    if kind_of == "string":
        return _quoted(value)
    if kind_of == "bool":
        return "true" if value else "false"
    if is_float(value):
        return _float(value)
    if kind_of == "slice":
        return f"[{', '.join(_element(item) for item in value)}]"
    if _is_table(value):
        return _inline(value)
    if isinstance(value, int):
        return str(int(value))
    msg = f"unsupported type: {kind_of}"
    raise GoError(msg)


def _float(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    digits = format_float(value, "f")
    return digits if "." in digits else f"{digits}.0"


def _inline(table: Any) -> str:
    members = _direct_first(table)
    parts = []
    for at, (name, value) in enumerate(members):
        if not is_nil(value):
            # The comma depends on the place, so a nil at the end leaves one behind, as in Go.
            parts.append(f"{_key((name,))} = {_element(value)}{', ' * (at < len(members) - 1)}")
    return "{" + "".join(parts) + "}"


functions = FunctionTable()


@functions.add("toTOML", "interface {}")
def to_trimmed_toml(value: Any) -> str:
    """Return *value* as TOML without white space at its ends."""
    if is_nil(value):
        msg = "reflect: call of reflect.Value.Type on zero Value"
        raise GoError(msg)
    try:
        return trim_space(to_toml(value))
    except GoError as error:
        msg = f"toTOML: {error}"
        raise GoError(msg) from None
