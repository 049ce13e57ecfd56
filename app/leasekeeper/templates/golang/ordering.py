"""The order in which Go prints and ranges over maps (internal/fmtsort)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from leasekeeper.templates.golang.values import encode, kind

# Go orders keys of different types by the addresses of their types. This is how they lie in the
# builds that we compare ourselves with.
_INTEGERS = ("int", "int8", "int16", "int32", "int64")
_KINDS = ("invalid", "string", *_INTEGERS, *(f"u{name}" for name in _INTEGERS))
_RANKS = {name: rank for rank, name in enumerate((*_KINDS, "float32", "float64", "bool"))}


def sorted_keys(mapping: Mapping[Any, Any]) -> list[Any]:
    """Return the keys of *mapping* in Go's order; strings are ordered by their bytes."""
    keys = list(mapping)
    if len(keys) < 2:
        return keys
    if type(mapping) is dict:
        # Characters and their UTF-8 bytes sort alike, but for the surrogates of stray bytes.
        simple = all(map(str.isascii, keys))
        keys.sort(key=None if simple else encode)
        return keys
    keys.sort(key=_order)
    return keys


def _order(key: Any) -> tuple[int, Any]:
    """Order keys of mixed types by type, as nearly as Go's addresses of types can be foretold."""
    kind_of = kind(key)
    rank = _RANKS.get(kind_of, 99)
    convert: Callable[[Any], Any] = _BY_KIND.get(kind_of, _identity)
    return rank, convert(key)


def _float_order(number: float) -> tuple[bool, float]:
    return (False, 0.0) if math.isnan(number) else (True, number)


def _identity(key: Any) -> Any:
    return 0 if key is None or kind(key) not in _RANKS else key


_BY_KIND: dict[str, Callable[[Any], Any]] = {
    "string": encode,
    "float32": _float_order,
    "float64": _float_order,
}
