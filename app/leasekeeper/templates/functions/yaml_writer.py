"""YAML as gopkg.in/yaml.v2 writes it, byte for byte.

yaml.v2 is a port of libyaml: its emitter decides by the state of the line (column, whitespace
before, indentation only) where to break. That state is kept here in the same words.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from leasekeeper.templates.functions.deep import check_extent
from leasekeeper.templates.functions.documents import TextStruct, is_nil, is_span, number_of_vault
from leasekeeper.templates.functions.texts import trim_space
from leasekeeper.templates.functions.yaml_order import sorted_members
from leasekeeper.templates.functions.yaml_scalars import STR, resolve
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.values import (
    GoStruct,
    byte_length,
    encode,
    is_float,
    is_signed,
    is_unsigned,
    kind,
    type_name,
)
from leasekeeper.vault.response import JsonNumber

_WIDTH = 80
_INDENT = 2
_LONGEST_KEY = 128  # bytes; a longer one is written as `? key`
_BREAKS = "\r\n\x85\u2028\u2029"
_NOT_PRINTABLE = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_HARMLESS = re.compile("[A-Za-z_/][A-Za-z0-9_./-]*")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")

PLAIN, SINGLE, DOUBLE, LITERAL = "plain", "single", "double", "literal"


def to_yaml(value: Any, *, cautious: bool = False) -> str:
    """Return *value* as one YAML document, with a final line break.

    *cautious* quotes every text that any reader might take for something else. yaml.v2 itself
    writes ``=`` and ``<<`` plain, for example, which PyYAML does not read as texts.

    :raises GoError: if YAML has no words for the value.
    """
    check_extent(value)
    writer = _Writer(cautious=cautious)
    writer.node(value)
    writer.line()
    return "".join(writer.parts)


class _Writer:
    def __init__(self, *, cautious: bool) -> None:
        self.parts: list[str] = []
        self._cautious = cautious
        self._column = 0
        self._indent = -1
        self._whitespace = True  # what was written last is white
        self._indention = True  # nothing but indentation and "-" is on this line yet

    # -- structure --

    def node(self, value: Any, *, in_mapping: bool = False) -> None:
        if isinstance(value, GoStruct) and not isinstance(value, TextStruct):
            value = {name.lower(): getattr(value, name) for name in value.go_fields}
            self._mapping(list(value.items()))
        elif isinstance(value, dict):
            self._mapping(sorted_members(value))
        elif isinstance(value, list):
            self._sequence(value, in_mapping=in_mapping)
        else:
            self._scalar(_Scalar.of(value, cautious=self._cautious), key=False)

    def _mapping(self, members: list[tuple[Any, Any]]) -> None:
        if not members:
            self._empty("{}")
            return
        outer = self._deeper()
        for key, value in members:
            self._key(key)
            self.node(value, in_mapping=True)
        self._indent = outer

    def _key(self, key: Any) -> None:
        self.line()
        scalar = _Scalar.of(key, cautious=self._cautious)
        if scalar.multiline or byte_length(scalar.text) > _LONGEST_KEY:
            self._indicator("?", indention=True)
            self._scalar(scalar, key=False)
            self.line()
            self._indicator(":", indention=True)
        else:
            self._scalar(scalar, key=True)
            self._indicator(":", before=False)

    def _sequence(self, items: list[Any], *, in_mapping: bool) -> None:
        if not items:
            self._empty("[]")
            return
        outer = self._deeper(indentless=in_mapping and not self._indention)
        for item in items:
            self.line()
            self._indicator("-", indention=True)
            self.node(item)
        self._indent = outer

    def _empty(self, brackets: str) -> None:
        self._indicator(brackets[0], after=True)
        self._indicator(brackets[1], before=False)

    def _deeper(self, *, scalar: bool = False, indentless: bool = False) -> int:
        outer = self._indent
        if outer < 0:
            self._indent = _INDENT if scalar else 0
        elif not indentless:
            self._indent += _INDENT
        return outer

    # -- characters --

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._column += len(text)

    def _break(self, char: str = "\n") -> None:
        self.parts.append(char)
        self._column = 0

    def line(self) -> None:
        """Go to the current indentation, on a new line where that is needed."""
        indent = max(self._indent, 0)
        at_indent = self._column == indent and self._whitespace
        if not self._indention or (self._column >= indent and not at_indent):
            self._break()
        self._put(" " * (indent - self._column))
        self._whitespace = self._indention = True

    def _indicator(
        self, text: str, *, before: bool = True, after: bool = False, indention: bool = False
    ) -> None:
        self._put(f" {text}" if before and not self._whitespace else text)
        self._whitespace = after
        self._indention = self._indention and indention

    # -- scalars --

    def _scalar(self, scalar: _Scalar, *, key: bool) -> None:
        outer = self._deeper(scalar=True)
        if scalar.binary:
            self._indicator("!!binary")
        style = scalar.style(key=key)
        if style is LITERAL:
            self._literal(scalar.text)
        elif style is DOUBLE:
            self._double(scalar.text, breaks=not key)
        else:
            self._flowing(scalar.text, quote="'" if style is SINGLE else "", breaks=not key)
        self._indent = outer

    def _flowing(self, text: str, *, quote: str, breaks: bool) -> None:
        """Write a plain or single-quoted scalar, folded at blanks beyond the line's width."""
        if quote:
            self._indicator(quote)
        elif not self._whitespace:
            self._put(" ")
        spaces = broken = False
        last = len(text) - 1
        for at, char in enumerate(text):
            if char == " ":
                inside = not quote or 0 < at < last
                fold = breaks and not spaces and self._column > _WIDTH and inside
                if fold and text[at + 1 : at + 2] != " ":
                    self.line()
                else:
                    self._put(char)
                spaces = True
            elif char in _BREAKS:
                if not broken and char == "\n":
                    self._break()
                self._break(char)
                self._indention = broken = True
            else:
                if broken:
                    self.line()
                self._put("''" if quote and char == "'" else char)
                self._indention = spaces = broken = False
        if quote:
            self._indicator(quote, before=False)
        self._whitespace = self._indention = False

    def _double(self, text: str, *, breaks: bool) -> None:
        self._indicator('"')
        escape_all = text.startswith("\ufeff")  # yaml.v2 looks for the mark at the start only
        spaces = False
        last = len(text) - 1
        for at, char in enumerate(text):
            if char in '"\\' or char in _BREAKS or escape_all or _NOT_PRINTABLE.match(char):
                self._put(_escape(char))
                spaces = False
            elif char != " ":
                self._put(char)
                spaces = False
            elif breaks and not spaces and self._column > _WIDTH and 0 < at < last:
                self.line()
                if text[at + 1] == " ":
                    self._put("\\")
                spaces = True
            else:
                self._put(char)
                spaces = True
        self._indicator('"', before=False)
        self._whitespace = self._indention = False

    def _literal(self, text: str) -> None:
        self._indicator("|")
        if text[0] == " " or text[0] in _BREAKS:
            self._indicator(str(_INDENT), before=False)
        if text[-1] not in _BREAKS:
            self._indicator("-", before=False)
        elif len(text) == 1 or text[-2] in _BREAKS:
            self._indicator("+", before=False)
        self._break()
        self._whitespace = self._indention = broken = True
        for char in text:
            if char in _BREAKS:
                self._break(char)
                self._indention = broken = True
            else:
                if broken:
                    self.line()
                self._put(char)
                self._indention = broken = False


_ESCAPES = dict(zip('\0\a\b\t\n\v\f\r\x1b"\\\x85\xa0\u2028\u2029', '0abtnvfre"\\N_LP', strict=True))


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return f"\\{_ESCAPES[char]}"
    code = ord(char)
    return (
        f"\\x{code:02X}"
        if code < 0x100
        else f"\\u{code:04X}"
        if code < 0x10000
        else f"\\U{code:08X}"
    )


class _Scalar:
    """A scalar's text, what it wants to look like, and what its characters allow."""

    def __init__(self, text: str, wish: str, *, binary: bool = False) -> None:
        self.text = text
        self.binary = binary
        self.multiline = any(char in text for char in _BREAKS)
        self._wish = wish

    @classmethod
    def of(cls, value: Any, *, cautious: bool) -> _Scalar:
        if type(value) is JsonNumber:
            value = number_of_vault(value)
        if is_span(value):
            value = str(value)
        if isinstance(value, TextStruct):
            text = value.marshal_text()
            literal = value.go_literal
            return cls(text, PLAIN) if literal else cls._of_string(text, cautious=cautious)
        kind_of = kind(value)
        if kind_of == "string":
            return cls._of_string(value, cautious=cautious)
        return cls(_plain(value, kind_of), PLAIN)

    @classmethod
    def _of_string(cls, text: str, *, cautious: bool) -> _Scalar:
        binary = not _is_unicode(text)
        if binary:
            text = _base64(encode(text))
            ambiguous = False
        else:
            ambiguous = resolve(text)[0] is not STR or bool(_BASE_60.fullmatch(text))
            ambiguous = ambiguous or (cautious and not _HARMLESS.fullmatch(text))
        wish = LITERAL if "\n" in text else DOUBLE if ambiguous else PLAIN
        return cls(text, wish, binary=binary)

    def style(self, *, key: bool) -> str:
        """Return the nearest style to the wished one that the characters allow."""
        style = DOUBLE if key and self.multiline else self._wish
        text = self.text
        broken = re.search(f" [{_BREAKS}]", text) or _NOT_PRINTABLE.search(text)
        if style is PLAIN and ((key and not text) or broken or not self._plain_allowed()):
            style = SINGLE
        if style is SINGLE and (broken or re.search(f"[{_BREAKS}] ", text)):
            style = DOUBLE
        if style is LITERAL and (key or broken or not text or text[-1] == " "):
            style = DOUBLE
        return style

    def _plain_allowed(self) -> bool:
        text = self.text
        if not text:
            return True
        if self.multiline or text[0] == " " or text[-1] == " " or text[0] in "#,[]{}&*!|>'\"%@`":
            return False
        return not re.match(r"---|\.\.\.|[-?](?:[ \t]|\Z)", text) and not re.search(
            r":(?:[ \t]|\Z)|[ \t]#", text
        )


def _plain(value: Any, kind_of: str) -> str:
    if is_nil(value):
        return "null"
    if kind_of == "bool":
        return "true" if value else "false"
    if is_signed(value) or is_unsigned(value):
        return str(int(value))
    if is_float(value):
        return {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}.get(
            text := format_float(value), text
        )
    msg = f"cannot marshal type: {type_name(value)}"
    raise GoError(msg)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(data: bytes) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return text if len(text) < 70 else "".join(f"{line}\n" for line in lines)


functions = FunctionTable()


@functions.add("toYAML", "interface {}")
def to_trimmed_yaml(value: Any) -> str:
    """Return *value* as YAML without white space at its ends."""
    return trim_space(to_yaml(value))
