"""The operations of compiled code. Each does its work on the frame and returns what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from leasekeeper.templates.golang.escaping import NO_VALUE
from leasekeeper.templates.golang.faults import Fault
from leasekeeper.templates.golang.frames import RUN, Evaluate, Frame
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.nodes import Invocation, Node, source
from leasekeeper.templates.golang.ordering import sorted_keys
from leasekeeper.templates.golang.printing import address, shown, to_text
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import (
    GoChannel,
    Uint8,
    is_signed,
    is_unsigned,
    kind,
    truth,
    type_name,
)

Operation = Callable[[Frame], int]

RETURN, CALL = -1, -2
"""What an operation returns when there is no next one, and when a template is to be called."""
MAX_DEPTH = 100_000
"""Deepest nesting of template calls, as in Go."""


# --- output -------------------------------------------------------------------------------------


def write_text(text: str, after: int) -> Operation:
    """Write a piece of the template's own text."""

    def operation(frame: Frame) -> int:
        frame[RUN].write(text)
        return after

    return operation


def write_value(evaluate: Evaluate, node: Node, after: int) -> Operation:
    """Write the value of an action."""

    def operation(frame: Frame) -> int:
        value = evaluate(frame)
        frame[RUN].write(value if type(value) is str else _shown(value, node))
        return after

    return operation


def _shown(value: Any, node: Node) -> str:
    if value is None:
        return NO_VALUE
    if kind(value) in ("chan", "func"):
        text = source(node)
        raise Fault(node, f"can't print {text} of type {type_name(value)}")
    try:
        return shown(value)
    except GoError as error:
        raise Fault(node, str(error), final=error.final) from None


def evaluate_only(evaluate: Evaluate, after: int) -> Operation:
    """Evaluate an action that prints nothing because it gives a value to a variable."""

    def operation(frame: Frame) -> int:
        evaluate(frame)
        return after

    return operation


# --- jumps --------------------------------------------------------------------------------------


def jump(target: int) -> Operation:
    """Go on at *target*."""
    return lambda _frame: target


def branch(evaluate: Evaluate, yes: int, no: int) -> Operation:
    """Start an ``if``."""

    def operation(frame: Frame) -> int:
        return yes if truth(evaluate(frame)) else no

    return operation


def branch_with(evaluate: Evaluate, dot: int, yes: int, no: int) -> Operation:
    """Start a ``with``, whose dot lives in slot *dot*."""

    def operation(frame: Frame) -> int:
        value = evaluate(frame)
        if not truth(value):
            return no
        frame[dot] = value
        return yes

    return operation


# --- range --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The slots of a ``range``; *elements* includes the one of dot. *place* is where it fails."""

    place: Node
    iterator: int
    container: int
    elements: tuple[int, ...]
    keys: tuple[int, ...]

    @property
    def variables(self) -> tuple[int, ...]:
        """The slots of the variables, which hold the whole container before the first round."""
        return (*self.keys, *self.elements[1:])


def start_range(evaluate: Evaluate, loop: Loop, after: int, nothing: int) -> Operation:
    """Start a ``range``; go to *nothing* if there is nothing to range over."""
    pairs = bool(loop.keys)

    def operation(frame: Frame) -> int:
        value = evaluate(frame)
        for slot in loop.variables:
            frame[slot] = value
        iterator = _iterate(value, loop.place, pairs=pairs)
        if iterator is None:
            return nothing
        frame[loop.container] = value
        frame[loop.iterator] = iterator
        return after

    return operation


def _iterate(value: Any, place: Node, *, pairs: bool) -> Iterator[Any] | None:
    """Return an iterator over the elements, or (key, element) *pairs*; None if there are none."""
    of = kind(value)
    if of == "invalid":
        return None
    if of == "map":
        keys = sorted_keys(value)
        each = ((key, value[key]) for key in keys) if pairs else (value[key] for key in keys)
        return each if keys else None
    if of == "slice":
        items: Iterator[Any] = map(Uint8, value) if type(value) is bytes else iter(value)
        return _numbered(items, pairs=pairs) if value else None
    if type(value) is GoChannel:
        return _received(value, pairs=pairs)
    if not is_signed(value) and not is_unsigned(value):
        raise Fault(place, f"range can't iterate over {_in_error(value)}")
    if pairs:
        raise Fault(place, f"can't use {value} to iterate over more than one variable")
    shape = type(value)
    return map(shape, range(value)) if value > 0 else None


def _in_error(value: Any) -> str:
    return address(value) if kind(value) == "func" else to_text(value)


def _numbered(items: Iterator[Any], *, pairs: bool) -> Iterator[Any]:
    return enumerate(items) if pairs else items


def _received(channel: GoChannel, *, pairs: bool) -> Iterator[Any] | None:
    items = iter(channel)
    for first in items:
        return _numbered(chain((first,), items), pairs=pairs)
    return None


def next_element(loop: Loop, body: int, done: int) -> Operation:
    """Take the next element and go to the *body*, or to what comes after the loop."""
    iterator, elements = loop.iterator, loop.elements
    dot = elements[0]

    def take_element(frame: Frame) -> int:
        frame[RUN].step(loop.place)
        for element in frame[iterator]:
            for slot in elements:
                frame[slot] = element
            return body
        return done

    def take_dot(frame: Frame) -> int:
        frame[RUN].step(loop.place)
        for element in frame[iterator]:
            frame[dot] = element
            return body
        return done

    def take_pair(frame: Frame) -> int:
        frame[RUN].step(loop.place)
        for key, element in frame[iterator]:
            for slot in loop.keys:
                frame[slot] = key
            for slot in elements:
                frame[slot] = element
            return body
        return done

    if loop.keys:
        return take_pair
    return take_element if len(elements) > 1 else take_dot


# --- templates ----------------------------------------------------------------------------------


def call_template(
    node: Invocation, codes: dict[str, Any], argument: Evaluate | None, after: int
) -> Operation:
    """Have the machine run a defined template, with the *argument* as its dot."""
    name = node.name

    def operation(frame: Frame) -> int:
        run = frame[RUN]
        code = codes.get(name)
        if code is None:
            raise Fault(node, f"template {quote(name)} not defined")
        if run.depth >= MAX_DEPTH:
            message = f"exceeded maximum template depth ({MAX_DEPTH})"
            raise Fault(node, message, final=True)
        run.step(node)
        run.callee = (code, argument(frame) if argument else None, after)
        return CALL

    return operation


def several(evaluates: Sequence[Evaluate], after: int) -> Operation:
    """Evaluate parts of an expression that are computed beforehand."""

    def operation(frame: Frame) -> int:
        for evaluate in evaluates:
            evaluate(frame)
        return after

    return operation
