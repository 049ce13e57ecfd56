"""The building blocks of compiled expressions: closures over a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leasekeeper.templates.golang.arguments import coerce
from leasekeeper.templates.golang.faults import Fault, Paused
from leasekeeper.templates.golang.frames import PENDING, RUN, UNSET, Evaluate, Frame, Stage
from leasekeeper.templates.golang.functions import Function, GoError, Parameter
from leasekeeper.templates.golang.nodes import Node
from leasekeeper.templates.golang.values import (
    EMPTY_INTERFACE,
    NilPointer,
    element_type,
    truth,
)


class Constant:
    """An expression whose value is known."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _frame: Frame) -> Any:
        return self.value


NEVER = Constant(False)


def fail(place: Node, message: str) -> Evaluate:
    """Return what fails whenever it is evaluated; Go finds many mistakes only then."""

    def failing(_frame: Frame) -> Any:
        raise Fault(place, message)

    return failing


def piped(evaluate: Evaluate) -> Stage:
    """Return *evaluate* as a stage that ignores what is piped into it."""
    return lambda frame, _value: evaluate(frame)


def stages(head: Evaluate, rest: Sequence[Stage]) -> Evaluate:
    """Return a pipeline of several commands."""

    def run_stages(frame: Frame) -> Any:
        value = head(frame)
        for stage in rest:
            value = stage(frame, value)
        return value

    return run_stages


def read_slot(slot: int) -> Evaluate:
    """Return what reads a variable."""

    def read(frame: Frame) -> Any:
        value = frame[slot]
        if value is PENDING:
            raise Paused
        return value

    return read


def read_first_set(slots: Sequence[int], node: Node, name: str) -> Evaluate:
    """Return what reads a variable whose innermost declaration may not have happened."""

    def read(frame: Frame) -> Any:
        for slot in slots:
            value = frame[slot]
            if value is PENDING:
                raise Paused
            if value is not UNSET:
                return value
        raise Fault(node, f"undefined variable: {name}")

    return read


def store(evaluate: Evaluate, slots: Sequence[int]) -> Evaluate:
    """Return what computes a value and gives it to variables."""

    def assign(frame: Frame) -> Any:
        value = evaluate(frame)
        for slot in slots:
            frame[slot] = value
        return value

    return assign


def store_first_set(evaluate: Evaluate, slots: Sequence[int], place: Node, name: str) -> Evaluate:
    """Return what assigns to the innermost variable that has been declared, if there is one."""

    def assign(frame: Frame) -> Any:
        value = evaluate(frame)
        for slot in slots:
            if frame[slot] is not UNSET:
                frame[slot] = value
                return value
        raise Fault(place, f"undefined variable: {name}")

    return assign


def checked(
    evaluate: Evaluate, parameter: Parameter, place: Node, is_interface: Evaluate
) -> Evaluate:
    """Return an argument that is what *parameter* asks for, or fails."""
    wanted = parameter.python

    def check(frame: Frame) -> Any:
        value = evaluate(frame)
        if type(value) is wanted:
            return value
        typed_nil = value is None and is_interface(frame)
        return coerce(value, parameter, place, typed_nil=typed_nil)

    return check


def with_nil_type(evaluate: Evaluate, is_interface: Evaluate) -> Evaluate:
    """Return the argument of ``len``, for which a nil interface is not the same as nothing."""

    def keep(frame: Frame) -> Any:
        value = evaluate(frame)
        return NilPointer(EMPTY_INTERFACE) if value is None and is_interface(frame) else value

    return keep


class _Boxed:
    """An index whose type Go does not look into."""

    go_kind = "interface"
    go_type = EMPTY_INTERFACE


def slice_index(evaluate: Evaluate, is_interface: Evaluate) -> Evaluate:
    """Return an index of ``slice``, which alone cannot take one out of a container of anything."""

    def box(frame: Frame) -> Any:
        value = evaluate(frame)
        return _Boxed() if value is not None and is_interface(frame) else value

    return box


def element_is_interface(slot: int) -> Evaluate:
    """Return whether the elements of the container in *slot* are of type ``interface {}``."""
    return lambda frame: element_type(frame[slot]) == EMPTY_INTERFACE


def invocation(function: Function, arguments: list[Evaluate], command: Node, name: str) -> Evaluate:
    """Return a call. GoErrors become faults of the *command*."""
    called = function.call
    known = _known(arguments)
    all_known = len(known) == len(arguments)
    arguments = [] if all_known else [_plain(argument) for argument in arguments]

    def call_with_run(frame: Frame) -> Any:
        values = known or [argument(frame) for argument in arguments]
        run = frame[RUN]
        run.caller = command
        try:
            return called(run, *values)
        except GoError as error:
            raise _failed(command, name, error) from None

    def call_known(_frame: Frame) -> Any:
        try:
            return called(*known)
        except GoError as error:
            raise _failed(command, name, error) from None

    def call_one(frame: Frame) -> Any:
        value = arguments[0](frame)
        try:
            return called(value)
        except GoError as error:
            raise _failed(command, name, error) from None

    def call_many(frame: Frame) -> Any:
        values = [argument(frame) for argument in arguments]
        try:
            return called(*values)
        except GoError as error:
            raise _failed(command, name, error) from None

    if function.run:
        return call_with_run
    if all_known:
        return call_known
    return call_one if len(arguments) == 1 else call_many


def piped_invocation(
    function: Function,
    arguments: list[Evaluate],
    last: Parameter,
    *,
    place: Node,
    command: Node,
    name: str,
) -> Stage:
    """Return a call whose last argument is piped into it; *place* is where a bad one is blamed."""
    called, run = function.call, function.run
    arguments = [_plain(argument) for argument in arguments]
    wanted, takes_any = last.python, last.any

    def call(frame: Frame, value: Any) -> Any:
        values = [argument(frame) for argument in arguments]
        if not takes_any and type(value) is not wanted:
            value = coerce(value, last, place, typed_nil=False)
        try:
            if not run:
                return called(*values, value)
            frame[RUN].caller = command
            return called(frame[RUN], *values, value)
        except GoError as error:
            raise _failed(command, name, error) from None

    return call


def _known(arguments: list[Evaluate]) -> tuple[Any, ...]:
    """Return the values of *arguments* if all of them are constant."""
    values = [argument.value for argument in arguments if isinstance(argument, Constant)]
    return tuple(values) if len(values) == len(arguments) else ()


def _plain(argument: Evaluate) -> Evaluate:
    if not isinstance(argument, Constant):
        return argument
    value = argument.value
    return lambda _frame: value


def _failed(command: Node, name: str, error: GoError) -> Fault:
    return Fault(command, f"error calling {name}: {error}", final=error.final)


def short_circuit(
    arguments: Sequence[Evaluate], unset: Sequence[int], *, stop_at: bool, stopped: int
) -> Evaluate:
    """Return an ``or`` (*stop_at* true) or an ``and``; *unset* are the variables it may declare.

    The slot *stopped* is to hold which argument was the last.
    """

    def logic(frame: Frame) -> Any:
        for slot in unset:
            frame[slot] = UNSET
        value = None
        for at, argument in enumerate(arguments):
            value = argument(frame)
            frame[stopped] = at
            if truth(value) is stop_at:
                break
        return value

    return logic
