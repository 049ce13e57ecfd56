"""Compiles chains of fields, ``$x.Data.password``, and methods at the end of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from leasekeeper.templates.golang.access import call_method, get_field, method_of, static_type
from leasekeeper.templates.golang.arguments import CONSTANTS, coerce, typed_constant
from leasekeeper.templates.golang.faults import Fault
from leasekeeper.templates.golang.frames import RUN, Binding, Evaluate, Frame
from leasekeeper.templates.golang.functions import Function, GoError, parameters_of
from leasekeeper.templates.golang.nodes import Node
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import EMPTY_INTERFACE, element_type, type_name


class Base(NamedTuple):
    """The start of a chain.

    *origin* is where the receiver lives, if it is dot or a variable. *place* is the node that
    failures are blamed on, *node* the whole chain. With *strict* a missing map key is an error.
    """

    read: Evaluate
    names: tuple[str, ...]
    node: Node
    place: Node
    origin: Binding | None
    strict: bool

    def receiver(self) -> Evaluate:
        """Compile the chain without its last name."""
        *leading, _last = self.names
        return chain(self._replace(names=tuple(leading))) if leading else self.read


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a method, whose parameter is known only when the method has been found."""

    node: Node
    place: Node
    evaluate: Evaluate
    is_interface: Evaluate


def chain(base: Base) -> Evaluate:
    """Compile ``base.a.b.c``; methods in it are called without arguments."""
    read, names = base.read, base.names

    def walk(frame: Frame) -> Any:
        value = read(frame)
        if value is None:
            return _of_nothing(base, frame, names[0])
        container: Any = None
        before = ""
        for name in names:
            if type(value) is dict and name in value:
                container, before, value = value, name, value[name]
            else:
                found = _step(base, frame, container, before, value, name)
                container, before, value = value, name, found
        return value

    return walk


def _of_nothing(base: Base, frame: Frame, name: str) -> None:
    """Take a field of nil, which is nothing, unless the nil is an element of a container."""
    container = base.origin.container if base.origin else None
    if container is not None:
        element = element_type(frame[container])
        raise Fault(base.place, f"nil pointer evaluating {element}.{name}")
    if base.strict:
        raise Fault(base.place, f"nil data; no entry for key {quote(name)}")


def _step(base: Base, frame: Frame, container: Any, before: str, value: Any, name: str) -> Any:
    """Return what follows one name where the receiver is not simply a map that has it."""
    method = method_of(value, name)
    if method is not None:
        if method.parameters:
            raise Fault(base.place, _wrong_count(method, name, 0))
        return _invoke(method, frame, value, [], base.node, name)
    if container is not None:
        known = static_type(container, before, value)
    elif base.origin is not None and base.origin.container is not None:
        known = element_type(frame[base.origin.container])
    else:
        known = type_name(value)
    return get_field(value, name, base.place, known, strict=base.strict)


def with_arguments(
    base: Base, arguments: Sequence[Argument]
) -> Callable[[Frame, tuple[Any, ...]], Any]:
    """Compile ``base.a.b arguments``, which only a method can be given."""
    name, node = base.names[-1], base.node
    receiver = base.receiver()
    # When a receiver further on turns out nil, it is no longer the one that has an origin.
    of_nil = base if len(base.names) == 1 else base._replace(origin=None)

    def call_last(frame: Frame, piped: tuple[Any, ...]) -> Any:
        value = receiver(frame)
        if value is None:
            return _of_nothing(of_nil, frame, name)
        method = method_of(value, name)
        if method is None:
            _step(base, frame, None, "", value, name)
            what = "has arguments but cannot be invoked as function"
            if isinstance(value, dict):
                what = "is not a method but has arguments"
            raise Fault(base.place, f"{name} {what}")
        given = _given(method, frame, arguments, piped, base)
        return _invoke(method, frame, value, given, node, name)

    return call_last


def _wrong_count(method: Function, name: str, given: int) -> str:
    return f"wrong number of args for {name}: want {len(method.parameters)} got {given}"


def _given(
    method: Function,
    frame: Frame,
    arguments: Sequence[Argument],
    piped: tuple[Any, ...],
    base: Base,
) -> list[Any]:
    """Return the checked arguments of *method*."""
    name, count = base.names[-1], len(arguments) + len(piped)
    too_few = count < len(method.parameters)
    if too_few or (method.variadic is None and count != len(method.parameters)):
        raise Fault(base.place, _wrong_count(method, name, count))
    parameters = parameters_of(method, count)
    values = []
    place = base.place
    for argument, parameter in zip(arguments, parameters, strict=False):
        place = argument.place
        if isinstance(argument.node, CONSTANTS):
            values.append(typed_constant(argument.node, parameter))
            continue
        value = argument.evaluate(frame)
        if type(value) is not parameter.python:
            typed_nil = value is None and argument.is_interface(frame)
            value = coerce(value, parameter, place, typed_nil=typed_nil)
        values.append(value)
    return values + [coerce(value, parameters[-1], place, typed_nil=False) for value in piped]


def _invoke(
    method: Function, frame: Frame, receiver: Any, arguments: list[Any], node: Node, name: str
) -> Any:
    try:
        return call_method(method, frame[RUN], receiver, arguments)
    except GoError as error:
        raise Fault(node, f"error calling {name}: {error}", final=error.final) from None


def is_interface(base: Base) -> Evaluate:
    """Return what says whether Go knows the chain's value, nil or not, as an ``interface {}``.

    It does when the value came out of a container of anything.
    """
    receiver, name = base.receiver(), base.names[-1]

    def check(frame: Frame) -> bool:
        container = receiver(frame)
        return container is not None and static_type(container, name, None) == EMPTY_INTERFACE

    return check
