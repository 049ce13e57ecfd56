"""Functions on lists and maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leasekeeper.templates.functions.merging import merge_maps
from leasekeeper.templates.functions.parsing import parse_int64
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.printf import sprintf
from leasekeeper.templates.golang.values import (
    GoChannel,
    Int64,
    is_float,
    is_signed,
    is_unsigned,
    kind,
    type_name,
)

functions = FunctionTable()


@functions.add("in", "interface {}", "interface {}")
def is_in(container: Any, value: Any) -> bool:
    """Whether a list holds *value*, or a text does. 1 is not 1.0, and only these types count."""
    if kind(container) == "slice":
        return any(_same(item, value) for item in container)
    if kind(container) == "string":
        return _same_type(container, value) and value in container
    return False


def _same(item: Any, value: Any) -> bool:
    if kind(item) == "string":
        return _same_type(item, value) and bool(item == value)
    both_whole = is_signed(item) and is_signed(value)
    both_real = is_float(item) and is_float(value)
    return (both_whole or both_real) and bool(item == value)


def _same_type(text: Any, value: Any) -> bool:
    if value is None:
        msg = "reflect: call of reflect.Value.Type on zero Value"
        raise GoError(msg)
    return type_name(text) == type_name(value)


@functions.add("contains", "interface {}", "interface {}")
def contains(value: Any, container: Any) -> bool:
    """`is_in` for pipes: ``{{ .list | contains "x" }}``."""
    return is_in(container, value)


def _quantified(*, found: bool, result: bool) -> Callable[[list[Any], Any], bool]:
    def quantified(required: list[Any], container: Any) -> bool:
        stops = any(is_in(container, value) is found for value in required)
        return result if stops else not result

    return quantified


for _name, _found, _result in (
    ("containsAll", False, False),
    ("containsAny", True, True),
    ("containsNone", True, False),
    ("containsNotAll", False, True),
):
    functions.add(_name, "[]interface {}", "interface {}")(
        _quantified(found=_found, result=_result)
    )


@functions.add("explodeMap", "map[string]interface {}")
def explode_map(flat: dict[str, Any]) -> dict[str, Any]:
    """Return a nested map made of keys with slashes."""
    nested: dict[str, Any] = {}
    for key in sorted(flat):
        _explode(nested, key, flat[key])
    return nested


def _explode(target: dict[str, Any], key: str, value: Any) -> None:
    outer = key
    while "/" in key:
        top, _, rest = key.partition("/")
        inner = target.setdefault(top, {})
        if type(inner) is not dict:
            shown = sprintf("%q: %q already has value %q", outer, top, inner)
            msg = f"explodeMap: not a map: {shown}"
            raise GoError(msg)
        target, outer, key = inner, key, rest
    if key:
        target[key] = value


@functions.add("mergeMap", "map[string]interface {}", "map[string]interface {}")
def merge_map(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Fill what *target* lacks from *source*, and return it."""
    merge_maps(target, source, override=False)
    return target


@functions.add("mergeMapWithOverride", "map[string]interface {}", "map[string]interface {}")
def merge_map_with_override(target: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Overwrite *target* with *source*, and return it."""
    merge_maps(target, source, override=True)
    return target


@functions.add("loop", "...interface {}")
def loop(*bounds: Any) -> GoChannel:
    """Return the numbers below the first bound, or from the first to below the second."""
    if len(bounds) not in {1, 2}:
        msg = f"loop: wrong number of arguments, expected 1 or 2, but got {len(bounds)}"
        raise GoError(msg)
    return GoChannel(map(Int64, range(*map(_bound, bounds))))


def _bound(value: Any) -> int:
    if kind(value) == "string":
        return parse_int64(value)
    if is_signed(value) or is_unsigned(value):
        return Int64.wrap(int(value))
    msg = f"loop: bad argument type: {type_name(value)}"
    raise GoError(msg)
