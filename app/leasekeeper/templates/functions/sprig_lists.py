"""sprig's functions on lists. They work on slices of any type and mostly return []interface {}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leasekeeper.templates.functions.casting import to_int, to_text, to_texts
from leasekeeper.templates.functions.deep import deep_equal
from leasekeeper.templates.functions.sprig_values import empty
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.values import NilList, StringSlice, encode, kind, slice_type

functions = FunctionTable()

NIL_POINTER = "runtime error: invalid memory address or nil pointer dereference"


def _items(value: Any, complaint: str) -> list[Any]:
    """Return *value* if it is a list.

    :raises GoError: *complaint* and the kind of *value*.
    """
    if kind(value) != "slice":
        msg = NIL_POINTER if value is None else f"{complaint} {kind(value)}"
        raise GoError(msg)
    return list(value)


def _add(
    name: str, *types: str
) -> Callable[[Callable[..., list[Any] | Any]], Callable[..., list[Any] | Any]]:
    """Register under *name* and ``mustName``: errors are errors in both."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        for full in (f"sprig_{name}", f"sprig_must{name[0].upper()}{name[1:]}"):
            functions.add(full, *types)(call)
        return call

    return register


@functions.add("sprig_list", "...interface {}")
@functions.add("sprig_tuple", "...interface {}")
def make_list(*values: Any) -> list[Any]:
    """Return a list of *values*."""
    return list(values)


@_add("append", "interface {}", "interface {}")
@_add("push", "interface {}", "interface {}")
def push(value: Any, item: Any) -> list[Any]:
    """Return the list with *item* at its end."""
    return [*_items(value, "Cannot push on type"), item]


@_add("prepend", "interface {}", "interface {}")
def prepend(value: Any, item: Any) -> list[Any]:
    """Return the list with *item* at its start."""
    return [item, *_items(value, "Cannot prepend on type")]


@functions.add("sprig_concat", "...interface {}")
def concat(*values: Any) -> list[Any]:
    """Return all lists as one."""
    result: list[Any] = []
    for value in values:
        if kind(value) != "slice":
            msg = NIL_POINTER if value is None else f"Cannot concat type {kind(value)} as list"
            raise GoError(msg)
        result.extend(value)
    return result or NilList()


@_add("first", "interface {}")
def first(value: Any) -> Any:
    """Return the first element, or nil."""
    items = _items(value, "Cannot find first on type")
    return items[0] if items else None


@_add("last", "interface {}")
def last(value: Any) -> Any:
    """Return the last element, or nil."""
    items = _items(value, "Cannot find last on type")
    return items[-1] if items else None


@_add("rest", "interface {}")
def rest(value: Any) -> list[Any]:
    """Return everything but the first element."""
    items = _items(value, "Cannot find rest on type")
    return items[1:] if items else NilList()


@_add("initial", "interface {}")
def initial(value: Any) -> list[Any]:
    """Return everything but the last element."""
    items = _items(value, "Cannot find initial on type")
    return items[:-1] if items else NilList()


@_add("reverse", "interface {}")
def reverse(value: Any) -> list[Any]:
    """Return the elements in reverse order."""
    return _items(value, "Cannot find reverse on type")[::-1]


@_add("compact", "interface {}")
def compact(value: Any) -> list[Any]:
    """Return the elements that are not empty."""
    return [item for item in _items(value, "Cannot compact on type") if not empty(item)]


@_add("uniq", "interface {}")
def uniq(value: Any) -> list[Any]:
    """Return the elements without repetitions."""
    result: list[Any] = []
    for item in _items(value, "Cannot find uniq on type"):
        if not _holds(result, item):
            result.append(item)
    return result


@_add("without", "interface {}", "...interface {}")
def without(value: Any, *omitted: Any) -> list[Any]:
    """Return the elements that are not among *omitted*."""
    items = _items(value, "Cannot find without on type")
    return [item for item in items if not _holds(omitted, item)]


@_add("has", "interface {}", "interface {}")
def has(needle: Any, value: Any) -> bool:
    """Whether the list holds *needle*."""
    return value is not None and _holds(_items(value, "Cannot find has on type"), needle)


def _holds(items: list[Any] | tuple[Any, ...], needle: Any) -> bool:
    return any(deep_equal(needle, item) for item in items)


@_add("slice", "interface {}", "...interface {}")
def cut(value: Any, *bounds: Any) -> Any:
    """Return the elements between two bounds, with the type of the list."""
    items = _items(value, "list should be type of slice or array but")
    if not items:
        return None
    start = to_int(bounds[0]) if bounds else 0
    end = to_int(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        msg = "reflect.Value.Slice: slice index out of bounds"
        raise GoError(msg)
    return type(value)(items[start:end])


@_add("chunk", "int", "interface {}")
def chunk(size: int, value: Any) -> list[list[Any]]:
    """Return the elements in lists of *size*."""
    items = _items(value, "Cannot chunk type")
    chunks = slice_type("[]interface {}")
    if size <= 0:
        return chunks(_backward_chunks(size, items))
    return chunks(items[at : at + size] for at in range(0, len(items), size))


def _backward_chunks(size: int, items: list[Any]) -> list[list[Any]]:
    """Return what sprig's formula makes of a *size* below 1: one list, none, or a panic.

    It makes ``floor((len - 1) / size) + 1`` lists, and the last of them ``len mod size`` long.
    """
    count = (len(items) - 1) // size + 1 if size else -1
    if count < 0 or (count and not items):
        msg = "runtime error: makeslice: len out of range"
        raise GoError(msg)
    return [items] if count else []


@functions.add("sprig_sortAlpha", "interface {}")
def sort_alpha(value: Any) -> list[str]:
    """Return the elements as texts, sorted by their bytes."""
    if kind(value) != "slice":
        return StringSlice((to_text(value),))
    return StringSlice(sorted(to_texts(value), key=encode))
