"""add, subtract, ... of consul-template: the second argument is the one that is piped in."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.printf import sprintf
from leasekeeper.templates.golang.values import (
    Int64,
    Uint64,
    is_float,
    is_signed,
    is_unsigned,
    type_name,
)

functions = FunctionTable()

Number = Int64 | Uint64 | float


def _operand(function: str, value: Any) -> Number:
    if is_signed(value):
        return Int64(value)
    if is_unsigned(value):
        return Uint64(value)
    if is_float(value):
        return float(value)
    shown = "<invalid reflect.Value>" if value is None else sprintf("%q", value)
    msg = f"{function}: unknown type for {shown} ({type_name(value)})"
    raise GoError(msg)


def _operands(function: str, b: Any, a: Any) -> tuple[Number, Number]:
    left = _operand(function, a)
    return left, _operand(function, b)


def _compute(
    function: str, whole: Callable[[int, int], int], real: Callable[[float, float], float]
) -> Callable[[Any, Any], Number]:
    """Return the function ``a OP b``; integers wrap at 64 bits, and any float makes a float."""

    def compute(b: Any, a: Any) -> Number:
        left, right = _operands(function, b, a)
        if type(left) is float or type(right) is float:
            return real(float(left), float(right))
        if type(left) is type(right) is Uint64:
            return Uint64.wrap(whole(left, right))
        return Int64.wrap(whole(Int64.wrap(int(left)), Int64.wrap(int(right))))

    return compute


def divide_whole(a: int, b: int) -> int:
    """Return ``a / b`` without the fraction, as Go divides.

    :raises GoError: if b is 0.
    """
    if b == 0:
        msg = "runtime error: integer divide by zero"
        raise GoError(msg)
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def modulo_whole(a: int, b: int) -> int:
    """Return what ``a / b`` leaves; it has the sign of a.

    :raises GoError: if b is 0.
    """
    return a - b * divide_whole(a, b)


def divide_real(a: float, b: float) -> float:
    """Return ``a / b``; dividing by 0 gives an infinity or NaN."""
    if b:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


for _name, _whole, _real in (
    ("add", operator.add, operator.add),
    ("subtract", operator.sub, operator.sub),
    ("multiply", operator.mul, operator.mul),
    ("divide", divide_whole, divide_real),
):
    functions.add(_name, "interface {}", "interface {}")(_compute(_name, _whole, _real))


@functions.add("modulo", "interface {}", "interface {}")
def modulo(b: Any, a: Any) -> Number:
    """Return what ``a / b`` leaves; only integers have a remainder."""
    left, right = _operands("modulo", b, a)
    for number, value in ((left, a), (right, b)):
        if type(number) is float:
            msg = f"modulo: unknown type for {sprintf('%q', value)} ({type_name(value)})"
            raise GoError(msg)
    return _compute("modulo", modulo_whole, divide_real)(b, a)


@functions.add("minimum", "interface {}", "interface {}")
def minimum(b: Any, a: Any) -> Number:
    """Return the smaller of two numbers."""
    left, right = _operands("minimum", b, a)
    return left if _comparable(left, right) < _comparable(right, left) else right


@functions.add("maximum", "interface {}", "interface {}")
def maximum(b: Any, a: Any) -> Number:
    """Return the greater of two numbers."""
    left, right = _operands("maximum", b, a)
    return left if _comparable(left, right) > _comparable(right, left) else right


def _comparable(number: Number, other: Number) -> int | float:
    """Return *number* as the type in which Go compares it with *other*."""
    if type(number) is float or type(other) is float:
        return float(number)
    return number if type(number) is type(other) else Int64.wrap(int(number))
