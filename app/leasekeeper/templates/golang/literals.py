"""What numeric and character literals of a template mean."""

from __future__ import annotations

import re

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.nodes import Number
from leasekeeper.templates.golang.numbers import parse_float, parse_int, parse_uint
from leasekeeper.templates.golang.quoting import QuotingError, quote, unquote_rune
from leasekeeper.templates.golang.tokens import Token, TokenKind

_MAX_INT, _MAX_UINT = (1 << 63) - 1, (1 << 64) - 1
_FLOAT_MARKS = frozenset(".eEpP")
_COMPLEX = re.compile(r"(.*?[^eEpP])([+-].*)i", re.DOTALL)


def number(token: Token) -> Number:
    """Return the node of a number, complex or character *token*.

    :raises ValueError: with Go's message, if it is malformed.
    """
    node = Number(token.position, token.value)
    if token.kind is TokenKind.CHAR_CONSTANT:
        _character(node)
    elif token.kind is TokenKind.COMPLEX:
        _complex(node)
    elif not _imaginary(node):
        _real(node)
    return node


def _character(node: Number) -> None:
    code, rest = unquote_rune(node.literal)
    if rest != "'":
        msg = f"malformed character constant: {node.literal}"
        raise ValueError(msg)
    node.as_int = node.as_uint = code
    node.as_float = float(code)


def _float(text: str) -> float | None:
    try:
        return parse_float(text)
    except GoError:
        return None


def _complex(node: Number) -> None:
    match = _COMPLEX.fullmatch(node.literal)
    real, imaginary = (_float(match[1]), _float(match[2])) if match else (None, None)
    if real is None or imaginary is None:
        raise QuotingError
    _take_complex(node, complex(real, imaginary))


def _imaginary(node: Number) -> bool:
    if not node.literal.endswith("i"):
        return False
    imaginary = _float(node.literal[:-1])
    if imaginary is None:
        return False
    _take_complex(node, complex(0, imaginary))
    return True


def _take_complex(node: Number, value: complex) -> None:
    node.as_complex = value
    if value.imag == 0:
        node.as_float = value.real
        _take_integers(node, value.real)


def _take_integers(node: Number, value: float) -> None:
    if value.is_integer():
        whole = int(value)
        node.as_int = whole if -_MAX_INT - 1 <= whole <= _MAX_INT else None
        node.as_uint = whole if 0 <= whole <= _MAX_UINT else None


def _real(node: Number) -> None:
    literal = node.literal
    try:
        node.as_uint = parse_uint(literal, 0)
    except GoError:
        node.as_uint = None
    try:
        node.as_int = parse_int(literal, 0)
    except GoError:
        node.as_int = None
    if node.as_int == 0:
        node.as_uint = 0
    whole = node.as_int if node.as_int is not None else node.as_uint
    if whole is not None:
        node.as_float = float(whole)
        return
    value = _float(literal)
    if value is None:
        msg = f"illegal number syntax: {quote(literal)}"
        raise ValueError(msg)
    if not _FLOAT_MARKS & set(literal):
        msg = f"integer overflow: {quote(literal)}"
        raise ValueError(msg)
    node.as_float = value
    _take_integers(node, value)
