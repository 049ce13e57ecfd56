"""``index``, ``slice``, ``len`` and ``call``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from leasekeeper.templates.golang.functions import Function, GoError, parameters_of
from leasekeeper.templates.golang.values import (
    EMPTY_INTERFACE,
    GoInteger,
    GoMap,
    GoSlice,
    Uint8,
    byte_length,
    decode,
    element_type,
    encode,
    is_signed,
    is_unsigned,
    kind,
    python_type,
    type_name,
    zero,
)

_MAX_SLICE_INDEXES = 3


def length(value: Any) -> int:
    """Return the number of bytes, elements or entries; a channel here is never buffered."""
    of = kind(value)
    if of == "string":
        return byte_length(value)
    if of in ("slice", "map"):
        return len(value)
    if of == "chan":
        return 0
    if of == "ptr":
        msg = "len of nil pointer"
        raise GoError(msg)
    if of == "invalid":
        msg = "reflect: call of reflect.Value.Type on zero Value"
        raise GoError(msg)
    raise GoError(f"len of type {_pointed_to(value)}")


def _pointed_to(value: Any) -> str:
    return type_name(value).removeprefix("*") if kind(value) == "struct" else type_name(value)


def index(item: Any, *indexes: Any) -> Any:
    """Return ``item[first][second]...``; a missing map key gives the zero value."""
    if item is None:
        msg = "index of untyped nil"
        raise GoError(msg)
    for key in indexes:
        item = _index_one(item, key)
    return item


def _index_one(item: Any, key: Any) -> Any:
    of = kind(item)
    if of in ("invalid", "ptr"):
        msg = "index of nil pointer"
        raise GoError(msg)
    if of == "map":
        key = _map_key(item, key)
        return item[key] if key in item else zero(element_type(item))
    if of == "string":
        item = encode(item)
    elif of != "slice":
        raise GoError(f"can't index item of type {_pointed_to(item)}")
    position = _position(key, len(item))
    if position == len(item):
        raise GoError(f"reflect: {of} index out of range")
    return Uint8(item[position]) if type(item) is bytes else item[position]


def _position(key: Any, limit: int) -> int:
    if key is None:
        msg = "cannot index slice/array with nil"
        raise GoError(msg)
    if not is_signed(key) and not is_unsigned(key):
        raise GoError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= limit:
        raise GoError(f"index out of range: {int(key)}")
    return int(key)


def _map_key(mapping: Any, key: Any) -> Any:
    wanted = mapping.key if isinstance(mapping, GoMap) else "string"
    if wanted == EMPTY_INTERFACE:
        if kind(key) in ("slice", "map", "func"):
            raise GoError(f"runtime error: hash of unhashable type {type_name(key)}")
        return key
    if key is None:
        raise GoError(f"value is nil; should be of type {wanted}")
    shape = python_type(wanted)
    if type(key) is shape:
        return key
    if issubclass(shape, int) and (is_signed(key) or is_unsigned(key)):
        return shape.wrap(key) if issubclass(shape, GoInteger) else int(key)
    raise GoError(f"value has type {type_name(key)}; should be {wanted}")


def slice_(item: Any, *indexes: Any) -> Any:
    """Return ``item[i:j]`` or ``item[i:j:k]``; the capacity *k* is checked and forgotten."""
    if item is None:
        msg = "slice of untyped nil"
        raise GoError(msg)
    if len(indexes) > _MAX_SLICE_INDEXES:
        raise GoError(f"too many slice indexes: {len(indexes)}")
    of = kind(item)
    if of == "string":
        if len(indexes) == _MAX_SLICE_INDEXES:
            msg = "cannot 3-index slice a string"
            raise GoError(msg)
        return decode(_cut(encode(item), indexes))
    if of != "slice":
        raise GoError(f"can't slice item of type {_pointed_to(item)}")
    part = _cut(item, indexes)
    return type(item)(part) if isinstance(item, GoSlice) else part


def _cut(item: Any, indexes: tuple[Any, ...]) -> Any:
    bounds = [0, len(item)]
    positions = [_position(key, len(item)) for key in indexes]
    bounds[: len(positions)] = positions
    for low, high in pairwise(bounds):
        if low > high:
            raise GoError(f"invalid slice index: {low} > {high}")
    return item[bounds[0] : bounds[1]]


def call(run: Any, name: str, function: Any, *arguments: Any) -> Any:
    """Call a *function* that is a value, and that the template calls *name*."""
    if function is None:
        msg = "call of nil"
        raise GoError(msg)
    if not isinstance(function, Function):
        raise GoError(f"non-function {name} of type {type_name(function)}")
    wanted = len(function.parameters)
    if function.variadic is None and len(arguments) != wanted:
        raise GoError(f"wrong number of args for {name}: got {len(arguments)} want {wanted}")
    if len(arguments) < wanted:
        got = f"got {len(arguments)} want at least {wanted}"
        raise GoError(f"wrong number of args for {name}: {got}")
    for at, (value, parameter) in enumerate(
        zip(arguments, parameters_of(function, len(arguments)), strict=True)
    ):
        if not parameter.any and type(value) is not parameter.python:
            what = f"value has type {type_name(value)}; should be {parameter.go_type}"
            raise GoError(f"arg {at}: {what}")
    return function.call(run, *arguments) if function.run else function.call(*arguments)
