"""``eq ne lt le gt ge``: Go compares only what has the same basic type."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.printing import sprintf
from leasekeeper.templates.golang.values import (
    FLOAT_KINDS,
    SIGNED_KINDS,
    UNSIGNED_KINDS,
    canonical,
    encode,
    kind,
    type_name,
)

_FAST = frozenset({str, int, bool, float})


def _basic(value: Any) -> str:
    """Return the comparison class of *value*; what cannot be ordered has none."""
    of = kind(value)
    if of in SIGNED_KINDS or of in UNSIGNED_KINDS:
        return "integer"
    if of in FLOAT_KINDS:
        return "float"
    return of if of in ("bool", "string", "complex128") else ""


def eq(first: Any, *others: Any) -> bool:
    """Whether *first* equals any of the others."""
    if not others:
        msg = "missing argument for comparison"
        raise GoError(msg)
    return any(_equal(first, other) for other in others)


def ne(first: Any, second: Any) -> bool:
    """Whether the two differ."""
    return not _equal(first, second)


def _equal(first: Any, second: Any) -> bool:
    if type(first) is type(second) and type(first) in _FAST:
        return bool(first == second) or (
            type(first) is str and not first.isascii() and canonical(first) == canonical(second)
        )
    of, other = _basic(first), _basic(second)
    if of != other:
        if first is not None and second is not None:
            raise _incompatible(first, second)
        return False
    if of == "string":
        return canonical(str(first)) == canonical(str(second))
    if of:
        return bool(first == second)
    return _same(first, second)


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return _is_nil(first) and _is_nil(second)
    if kind(first) != kind(second):
        msg = sprintf(
            "non-comparable types %s: %v, %s: %v",
            first,
            type_name(first),
            type_name(second),
            second,
        )
        raise GoError(msg)
    if _is_nil(first) or _is_nil(second):
        return _is_nil(first) and _is_nil(second)
    if kind(first) in ("slice", "map", "func"):
        msg = sprintf("non-comparable type %s: %v", second, type_name(second))
        raise GoError(msg)
    return first is second


def _is_nil(value: Any) -> bool:
    return value is None or kind(value) == "ptr"


def _incompatible(first: Any, second: Any) -> GoError:
    return GoError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")


def lt(first: Any, second: Any) -> bool:
    """Whether *first* is less than *second*; strings are ordered by their bytes."""
    of, other = _basic(first), _basic(second)
    if not of or not other:
        raise _unordered()
    if of != other:
        raise _incompatible(first, second)
    if of in ("bool", "complex128"):
        raise _unordered()
    if of == "string" and not (first.isascii() and second.isascii()):
        return encode(first) < encode(second)
    return bool(first < second)


def _unordered() -> GoError:
    return GoError("invalid type for comparison")


def le(first: Any, second: Any) -> bool:
    """Whether *first* is at most *second*."""
    return lt(first, second) or _equal(first, second)


def gt(first: Any, second: Any) -> bool:
    """Whether *first* is not at most *second*; with a NaN that is true, as in Go."""
    return not le(first, second)


def ge(first: Any, second: Any) -> bool:
    """Whether *first* is not less than *second*."""
    return not lt(first, second)
