"""sprig's functions on any value: defaults, tests, types, JSON, copies, failing on purpose."""

from __future__ import annotations

from typing import Any, NoReturn

from leasekeeper.templates.functions.deep import check_extent, copied, deep_equal
from leasekeeper.templates.functions.json_reader import from_json
from leasekeeper.templates.functions.json_writer import to_json
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.values import kind, truth, type_name

functions = FunctionTable()


@functions.add("sprig_empty", "interface {}")
def empty(value: Any) -> bool:
    """Whether *value* is nil, 0, false, or has no elements."""
    return not truth(value)


@functions.add("sprig_default", "interface {}", "...interface {}")
def default(fallback: Any, *given: Any) -> Any:
    """Return the first of *given* unless it is empty, else *fallback*."""
    return given[0] if given and not empty(given[0]) else fallback


@functions.add("sprig_coalesce", "...interface {}")
def coalesce(*values: Any) -> Any:
    """Return the first value that is not empty, or nil."""
    return next((value for value in values if not empty(value)), None)


@functions.add("sprig_all", "...interface {}")
def all_of(*values: Any) -> bool:
    """Whether no value is empty."""
    return not any(map(empty, values))


@functions.add("sprig_any", "...interface {}")
def any_of(*values: Any) -> bool:
    """Whether any value is not empty."""
    return not all(map(empty, values))


@functions.add("sprig_ternary", "interface {}", "interface {}", "bool")
def ternary(if_true: Any, if_false: Any, condition: bool) -> Any:
    """Return one of two values."""
    return if_true if condition else if_false


@functions.add("sprig_fail", "string")
def fail(message: str) -> NoReturn:
    """End the render with *message*."""
    raise GoError(message)


# --- types ------------------------------------------------------------------------------------


@functions.add("sprig_typeOf", "interface {}")
def type_of(value: Any) -> str:
    """Return the Go type."""
    return type_name(value)


@functions.add("sprig_typeIs", "string", "interface {}")
def type_is(name: str, value: Any) -> bool:
    """Whether the Go type is *name*."""
    return name == type_name(value)


@functions.add("sprig_typeIsLike", "string", "interface {}")
def type_is_like(name: str, value: Any) -> bool:
    """Whether the Go type is *name* or a pointer to it."""
    return type_name(value) in {name, f"*{name}"}


@functions.add("sprig_kindOf", "interface {}")
def kind_of(value: Any) -> str:
    """Return the Go kind: int, string, slice, map, ..."""
    return "ptr" if getattr(value, "go_pointer", False) else kind(value)


@functions.add("sprig_kindIs", "string", "interface {}")
def kind_is(name: str, value: Any) -> bool:
    """Whether the Go kind is *name*."""
    return name == kind_of(value)


@functions.add("sprig_deepEqual", "interface {}", "interface {}")
def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same all the way down."""
    check_extent(a)
    return deep_equal(a, b)


@functions.add("sprig_deepCopy", "interface {}")
@functions.add("sprig_mustDeepCopy", "interface {}")
def deep_copy(value: Any) -> Any:
    """Return a copy that shares nothing that can change."""
    if value is None:
        msg = "reflect: call of reflect.Value.Type on zero Value"
        raise GoError(msg)
    check_extent(value)
    return copied(value)


# --- JSON -------------------------------------------------------------------------------------


functions.add("sprig_mustFromJson", "string")(from_json)


@functions.add("sprig_fromJson", "string")
def from_json_or_nil(text: str) -> Any:
    """Return what *text* says, or nil if it is not JSON."""
    try:
        return from_json(text, lenient=True)
    except GoError:
        return None


functions.add("sprig_mustToJson", "interface {}")(to_json)


@functions.add("sprig_toJson", "interface {}")
def to_json_or_nothing(value: Any) -> str:
    """Return *value* as JSON, or nothing if JSON has no words for it."""
    return _or_nothing(value, indent="")


@functions.add("sprig_mustToPrettyJson", "interface {}")
def to_pretty_json(value: Any) -> str:
    """Return *value* as JSON on several lines."""
    return to_json(value, indent="  ")


@functions.add("sprig_toPrettyJson", "interface {}")
def to_pretty_json_or_nothing(value: Any) -> str:
    """Return *value* as JSON on several lines, or nothing if JSON has no words for it."""
    return _or_nothing(value, indent="  ")


@functions.add("sprig_toRawJson", "interface {}")
@functions.add("sprig_mustToRawJson", "interface {}")
def to_raw_json(value: Any) -> str:
    """Return *value* as JSON with ``< > &`` as they are."""
    return to_json(value, html=False)


def _or_nothing(value: Any, *, indent: str) -> str:
    try:
        return to_json(value, indent=indent)
    except GoError:
        return ""
