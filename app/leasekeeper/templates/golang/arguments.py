"""Arguments of functions against the types of their parameters."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang.faults import Fault
from leasekeeper.templates.golang.functions import Parameter
from leasekeeper.templates.golang.nodes import Bool, Nil, Node, Number, String, source
from leasekeeper.templates.golang.numbers import to_single
from leasekeeper.templates.golang.values import (
    EMPTY_INTERFACE,
    Float32,
    GoInteger,
    GoStruct,
    NilMap,
    NilPointer,
    type_name,
)

CONSTANTS = (Bool, Nil, Number, String)
_MAX_INT = (1 << 63) - 1
_NILABLE = (list, dict, bytes)


def constant(node: Node) -> Any:
    """Return the value of a literal where nothing says which type it should have.

    :raises Fault: if it is a number too large for an int.
    """
    if isinstance(node, Number):
        return _ideal(node)
    assert isinstance(node, Bool | String)
    return node.value


def _ideal(node: Number) -> Any:
    if node.as_complex is not None:
        return node.as_complex
    literal = node.literal
    hexadecimal = literal[:2] in ("0x", "0X") and not set("pP") & set(literal)
    looks_like_float = not hexadecimal and literal[0] != "'" and set(".eEpP") & set(literal)
    if node.as_float is not None and looks_like_float:
        return node.as_float
    if node.as_int is None:
        raise Fault(node, f"{literal} overflows int")
    return node.as_int


def typed_constant(node: Node, parameter: Parameter) -> Any:
    """Return the value of a literal for *parameter*.

    :raises Fault: if the literal does not suit it.
    """
    if isinstance(node, Nil):
        if parameter.any or issubclass(parameter.python, _NILABLE):
            return _nil(parameter)
        if parameter.go_type.startswith("*"):
            return NilPointer(parameter.go_type)
        raise Fault(node, f"cannot assign nil to {parameter.go_type}")
    if parameter.any:
        return constant(node)
    wanted, value = _literal(node, parameter.python)
    if value is not None:
        return value
    if wanted:
        raise Fault(node, f"expected {wanted}; found {source(node)}")
    raise Fault(node, f"can't handle {source(node)} for arg of type {parameter.go_type}")


def _literal(node: Node, wanted: type) -> tuple[str, Any]:
    """Return Go's word for the type that is *wanted*, and the literal as one, or None."""
    number = node if isinstance(node, Number) else None
    if wanted is str or (issubclass(wanted, str)):
        return "string", wanted(node.value) if isinstance(node, String) else None
    if wanted is bool:
        return "bool", node.value if isinstance(node, Bool) else None
    if wanted is int:
        return "integer", number.as_int if number else None
    if issubclass(wanted, GoInteger):
        found = (number.as_int if wanted.signed else number.as_uint) if number else None
        name = "integer" if wanted.signed else "unsigned integer"
        return name, None if found is None else wanted.wrap(found)
    if issubclass(wanted, float):
        found_float = number.as_float if number else None
        if wanted is Float32 and found_float is not None:
            return "float", Float32(to_single(found_float))
        return "float", found_float
    if wanted is complex:
        return "complex", _complex(number) if number else None
    return "", None


def _complex(number: Number) -> complex | None:
    if number.as_complex is not None:
        return number.as_complex
    return None if number.as_float is None else complex(number.as_float)


def _nil(parameter: Parameter) -> Any:
    if parameter.any:
        return None
    return NilMap() if parameter.python is dict else parameter.python()


def coerce(value: Any, parameter: Parameter, place: Node, *, typed_nil: bool) -> Any:
    """Return *value*, which is not exactly what *parameter* asks for, if it will do anyway.

    *typed_nil* tells a nil that came out of a container from nothing at all.

    :raises Fault: with Go's message, if it will not.
    """
    if parameter.any:
        return value
    if value is None:
        if issubclass(parameter.python, _NILABLE) and not typed_nil:
            return _nil(parameter)
        if parameter.go_type.startswith("*") and not typed_nil:
            return NilPointer(parameter.go_type)
        if typed_nil:
            got = EMPTY_INTERFACE
            raise Fault(place, f"wrong type for value; expected {parameter.go_type}; got {got}")
        raise Fault(place, f"invalid value; expected {parameter.go_type}")
    if issubclass(parameter.python, GoStruct) and isinstance(value, parameter.python):
        return value
    got = type_name(value)
    if got == parameter.go_type:  # a nil of it
        return value
    raise Fault(place, f"wrong type for value; expected {parameter.go_type}; got {got}")
