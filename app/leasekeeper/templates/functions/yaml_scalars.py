"""What an unquoted YAML scalar means to gopkg.in/yaml.v2: half YAML 1.1, half its own rules."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from typing import Any

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.numbers import parse_int, parse_uint
from leasekeeper.templates.golang.values import Uint64

STR, BOOL, INT, FLOAT = "!!str", "!!bool", "!!int", "!!float"
NULL, TIMESTAMP, BINARY, MERGE = "!!null", "!!timestamp", "!!binary", "!!merge"

_TRUE = frozenset("y Y yes Yes YES true True TRUE on On ON".split())  # noqa: SIM905 - one glance
_FALSE = frozenset("n N no No NO false False FALSE off Off OFF".split())  # noqa: SIM905
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_POINT_FIRST = re.compile(r"\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?)?"
)


def resolve(text: str) -> tuple[str, Any]:
    """Return the tag and the value of an unquoted scalar.

    A timestamp's value is its text: yaml.v2 gives templates the string.
    """
    if text in _NULL:
        return NULL, None
    if text in _TRUE or text in _FALSE:
        return BOOL, text in _TRUE
    if _SPECIAL_FLOAT.fullmatch(text):
        return FLOAT, float(text.replace(".", "", 1))
    if text[0] == ".":
        return _as_float(text) if _POINT_FIRST.fullmatch(text) else (STR, text)
    if text[0] in "+-0123456789":
        return (TIMESTAMP, text) if _is_timestamp(text) else _number(text)
    return STR, text


def _number(text: str) -> tuple[str, Any]:
    plain = text.replace("_", "")
    try:
        return INT, parse_int(plain, 0)
    except GoError:
        pass
    try:
        return INT, Uint64(parse_uint(plain, 0))
    except GoError:
        pass
    if _FLOAT.fullmatch(plain):
        tag, value = _as_float(plain)
        return (tag, value) if tag is FLOAT else (STR, text)
    return STR, text


def _as_float(text: str) -> tuple[str, Any]:
    value = float(text)
    return (STR, text) if math.isinf(value) else (FLOAT, value)


def _is_timestamp(text: str) -> bool:
    if not (match := _TIMESTAMP.fullmatch(text)):
        return False
    year, month, day, *clock = (int(part) for part in match.groups() if part is not None)
    # The calendar repeats every 400 years, and Python's begins with year 1.
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(year + 400, month)[1]:
        return False
    return not clock or (clock[0] < 24 and clock[1] < 60 and clock[2] < 60)
