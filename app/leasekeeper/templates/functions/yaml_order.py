"""The order in which gopkg.in/yaml.v2 writes keys: naturally, so that a2 comes before a10."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from leasekeeper.templates.golang.values import kind

_NUMBERS = (
    *("bool", "int", "int8", "int16", "int32", "int64"),
    *("uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64"),
)
_KINDS = ("invalid", *_NUMBERS, "chan", "func", "interface", "map", "ptr", "slice", "string")
"""In the order of Go's ``reflect.Kind``."""
_UINT64 = 2**64 - 1
_SIGN = 2**63


def sorted_members(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the keys and values of a map in writing order."""
    return [(key, value[key]) for key in sorted(value, key=cmp_to_key(_compare))]


def _compare(a: Any, b: Any) -> int:
    return -1 if _less(a, b) else 1 if _less(b, a) else 0


def _less(a: Any, b: Any) -> bool:
    """Whether key *a* comes before *b*: numbers by value, texts naturally (a2, a10)."""
    kind_a, kind_b = _key_kind(a), _key_kind(b)
    if kind_a in _NUMBERS and kind_b in _NUMBERS and float(a) != float(b):
        return float(a) < float(b)
    if kind_a != "string" or kind_b != "string":
        if kind_a == kind_b and kind_a in _NUMBERS:
            return bool(a < b)  # beyond what a float tells apart
        return _KINDS.index(kind_a) < _KINDS.index(kind_b)
    for at, (char_a, char_b) in enumerate(zip(a, b, strict=False)):
        if char_a != char_b:
            return _text_less(a, b, at)
    return len(a) < len(b)


def _key_kind(key: Any) -> str:
    return "interface" if key is None else kind(key)


def _text_less(a: str, b: str, at: int) -> bool:
    """Compare two texts whose first difference is *at*."""
    letters = a[at].isalpha(), b[at].isalpha()
    if all(letters):
        return a[at] < b[at]
    if any(letters):
        return letters[1]
    # After a number has begun, its zeros count: 100 comes after 11.
    lead = int("0" in (a[at], b[at]) and _in_number(a[:at]))
    (number_a, end_a), (number_b, end_b) = _number(a, at, lead), _number(b, at, lead)
    if number_a != number_b:
        return number_a < number_b
    if end_a != end_b:
        return end_a < end_b
    return a[at] < b[at]


def _in_number(text: str) -> bool:
    """Whether *text* ends in digits of which the last that is not 0 makes a number."""
    return text.rstrip("0")[-1:].isdecimal()


def _number(text: str, at: int, number: int) -> tuple[int, int]:
    """Return the number whose digits go on *at*, as an int64 that overflows, and its end."""
    while at < len(text) and text[at].isdecimal():
        number = (number * 10 + ord(text[at]) - ord("0")) & _UINT64
        at += 1
    return number - ((number & _SIGN) << 1), at
