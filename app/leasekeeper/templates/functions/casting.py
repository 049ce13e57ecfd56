"""Turning anything into a number or a text, without ever failing (Go's spf13/cast)."""

from __future__ import annotations

import math
import re
from typing import Any

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.numbers import parse_float, parse_int
from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.values import (
    Int64,
    StringSlice,
    is_float,
    is_signed,
    is_unsigned,
    kind,
    type_name,
)

_SMALLEST = -(1 << 63)


def to_int64(value: Any) -> Int64:
    """Return *value* as an integer: fractions are cut, and what is no number is 0."""
    if _is_whole(value):
        return Int64.wrap(int(value))
    if is_float(value):
        return _cut(value)
    if type(value) is bool:
        return Int64(value)
    return _parse_whole(value) if kind(value) == "string" else Int64(0)


def _is_whole(value: Any) -> bool:
    # Go's package cast knows months and weekdays by name, and not spans of time.
    whole = is_signed(value) or is_unsigned(value)
    return whole and type_name(value) != "time.Duration"


def _cut(value: float) -> Int64:
    # What does not fit becomes the smallest integer, as on Go's amd64.
    fits = math.isfinite(value) and _SMALLEST <= value < -_SMALLEST
    return Int64(value if fits else _SMALLEST)


def _parse_whole(text: str) -> Int64:
    try:
        return Int64(parse_int(re.sub(r"\.0+\Z", "", text), 0))
    except GoError:
        return Int64(0)


def to_int(value: Any) -> int:
    """Return *value* as `to_int64` does, as Go's int."""
    return int(to_int64(value))


def to_float(value: Any) -> float:
    """Return *value* as a float; what is no number is 0."""
    if is_float(value) or _is_whole(value) or type(value) is bool:
        return float(value)
    if kind(value) != "string":
        return 0.0
    try:
        return parse_float(value)
    except GoError:
        return 0.0


def to_text(value: Any) -> str:
    """Return *value* as a text: itself, or as it prints."""
    return value if type(value) is str else sprint(value)


def to_texts(value: Any) -> list[str]:
    """Return the elements of a list as texts, without nil; anything else is one element."""
    if kind(value) == "slice":
        return StringSlice(to_text(item) for item in value if item is not None)
    return StringSlice(() if value is None else (to_text(value),))
