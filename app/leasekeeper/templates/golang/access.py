"""Fields, map keys and methods: what ``.Name`` means for a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leasekeeper.templates.golang.faults import Fault
from leasekeeper.templates.golang.functions import Function
from leasekeeper.templates.golang.nodes import Node
from leasekeeper.templates.golang.numbers import parse_float, parse_int
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import (
    EMPTY_INTERFACE,
    GoMap,
    GoStruct,
    Int64,
    NilPointer,
    element_type,
    type_name,
    zero,
)
from leasekeeper.vault.response import JsonNumber

_NUMBER_METHODS: Mapping[str, Function] = {
    "String": Function.declare("String", str),
    "Int64": Function.declare("Int64", lambda number: Int64(parse_int(number))),
    "Float64": Function.declare("Float64", parse_float),
}


def method_of(value: Any, name: str) -> Function | None:
    """Return the method *name* of *value*, if there is one."""
    if type(value) is JsonNumber:
        return _NUMBER_METHODS.get(name)
    methods: Mapping[str, Function] = getattr(value, "go_methods", {})
    return methods.get(name)


def call_method(method: Function, run: Any, receiver: Any, arguments: list[Any]) -> Any:
    """Call *method*; the arguments have been checked."""
    if method.run:
        return method.call(run, receiver, *arguments)
    return method.call(receiver, *arguments)


def get_field(receiver: Any, name: str, place: Node, static_type: str, *, strict: bool) -> Any:
    """Return the field or map entry *name* of *receiver*, which has no such method.

    *static_type* is what Go knows of the receiver's type: ``interface {}`` for an element of a map
    or slice of anything. With *strict* a missing map entry is an error.

    :raises Fault: with Go's message.
    """
    shape = type(receiver)
    if shape is dict or isinstance(receiver, GoMap):
        return _entry(receiver, name, place, static_type, strict=strict)
    if isinstance(receiver, GoStruct) and name in receiver.go_fields:
        return getattr(receiver, name)
    if receiver is None and static_type.startswith("map["):
        return _missing(static_type.partition("]")[2], name, place, strict=strict)
    if receiver is None or (shape is NilPointer and receiver.may_have(name)):
        raise Fault(place, f"nil pointer evaluating {static_type}.{name}")
    raise Fault(place, f"can't evaluate field {name} in type {static_type}")


def _entry(receiver: Any, name: str, place: Node, static_type: str, *, strict: bool) -> Any:
    if isinstance(receiver, GoMap) and receiver.key not in ("string", EMPTY_INTERFACE):
        raise Fault(place, f"can't evaluate field {name} in type {static_type}")
    if name in receiver:
        return receiver[name]
    return _missing(element_type(receiver), name, place, strict=strict, known=receiver)


def _missing(
    element: str, name: str, place: Node, *, strict: bool, known: Mapping[Any, Any] | None = None
) -> Any:
    if strict:
        hint = _hint(name, known or {})
        message = f"map has no entry for key {quote(name)}"
        raise Fault(place, message, hint=hint, code="LK-TPL-003")
    return zero(element)


def _hint(name: str, known: Mapping[Any, Any]) -> str | None:
    """Return a sentence that helps whoever asked for *name* in a map that has others."""
    if known.keys() == {"data", "metadata"}:
        return f"a KV version 2 secret has its values one level deeper: .Data.data.{name}"
    import difflib  # only for a message

    close = difflib.get_close_matches(name, [key for key in known if isinstance(key, str)], n=1)
    return f"there is {quote(close[0])}" if close else None


def static_type(container: Any, name: str, value: Any) -> str:
    """Return the type Go gives to *value*, known as the field or entry *name* of *container*."""
    if isinstance(container, GoStruct):
        return container.go_fields.get(name) or type_name(value)
    if isinstance(container, dict):
        return element_type(container)
    return type_name(value)
