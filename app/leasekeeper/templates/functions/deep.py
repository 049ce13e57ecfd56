"""Comparing and copying values all the way down."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang.functions import check_length
from leasekeeper.templates.golang.values import GoChannel, GoStruct, kind, type_name

_VALUE = 64
"""What a value costs besides its characters."""


def deep_equal(a: Any, b: Any) -> bool:
    """Whether two values have the same type and, all the way down, the same content."""
    if type_name(a) != type_name(b):
        return False
    kind_of = kind(a)
    if kind_of == "slice":
        return len(a) == len(b) and all(map(deep_equal, a, b))
    if kind_of == "map":
        return a.keys() == b.keys() and all(deep_equal(a[key], b[key]) for key in a)
    if isinstance(a, GoStruct) and a.go_fields:
        return all(deep_equal(getattr(a, name), getattr(b, name)) for name in a.go_fields)
    return a is b if isinstance(a, GoChannel) else bool(a == b)


def check_extent(value: Any) -> None:
    """Look at how much there is to write of *value*, where what is in it twice counts twice.

    :raises TextTooLarge: if it is more than templates may make.
    """
    waiting, extent = [value], 0
    while waiting:
        inner = waiting.pop()
        extent += _VALUE
        if isinstance(inner, str | bytes):
            extent += len(inner)
        elif isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
        check_length(extent)


def copied(value: Any) -> Any:
    """Return a copy of the lists and maps in *value*; everything else cannot change."""
    if isinstance(value, dict):
        result = type(value)()
        for key, member in value.items():
            result[key] = copied(member)
        return result
    if isinstance(value, list):
        return type(value)(map(copied, value))
    return value
