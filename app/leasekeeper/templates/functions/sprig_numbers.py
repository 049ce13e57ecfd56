"""sprig's arithmetic: whatever it is given becomes an int64, or a decimal on its way to a float."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from leasekeeper.templates.functions.arithmetic import divide_whole, modulo_whole
from leasekeeper.templates.functions.casting import to_float, to_int, to_int64
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import parse_int
from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.values import Int64, slice_type

functions = FunctionTable()

IntSlice = slice_type("int")

functions.add("sprig_int64", "interface {}")(to_int64)
functions.add("sprig_int", "interface {}")(to_int)
functions.add("sprig_float64", "interface {}")(to_float)


@functions.add("sprig_atoi", "string")
def atoi(text: str) -> int:
    """Return the decimal integer in *text*, or 0; what is too great becomes the greatest."""
    try:
        return parse_int(text)
    except GoError as error:
        if "range" not in str(error):
            return 0
        return -(1 << 63) if text.startswith("-") else (1 << 63) - 1


@functions.add("sprig_toDecimal", "interface {}")
def to_decimal(value: Any) -> Int64:
    """Return the octal number that *value* shows, or 0."""
    try:
        return Int64(parse_int(sprint(value), 8))
    except GoError:
        return Int64(0)


# --- integers ---------------------------------------------------------------------------------


@functions.add("sprig_add1", "interface {}")
def add1(value: Any) -> Int64:
    """Return the next integer."""
    return Int64.wrap(to_int64(value) + 1)


@functions.add("sprig_add", "...interface {}")
def add(*values: Any) -> Int64:
    """Return the sum."""
    return Int64.wrap(sum(map(to_int64, values)))


@functions.add("sprig_sub", "interface {}", "interface {}")
def sub(a: Any, b: Any) -> Int64:
    """Return ``a - b``."""
    return Int64.wrap(to_int64(a) - to_int64(b))


@functions.add("sprig_mul", "interface {}", "...interface {}")
def mul(*values: Any) -> Int64:
    """Return the product."""
    return Int64.wrap(math.prod(map(to_int64, values)))


@functions.add("sprig_div", "interface {}", "interface {}")
def div(a: Any, b: Any) -> Int64:
    """Return ``a / b`` without the fraction."""
    return Int64.wrap(divide_whole(to_int64(a), to_int64(b)))


@functions.add("sprig_mod", "interface {}", "interface {}")
def mod(a: Any, b: Any) -> Int64:
    """Return what ``a / b`` leaves."""
    return Int64.wrap(modulo_whole(to_int64(a), to_int64(b)))


@functions.add("sprig_max", "interface {}", "...interface {}")
@functions.add("sprig_biggest", "interface {}", "...interface {}")
def biggest(*values: Any) -> Int64:
    """Return the greatest integer."""
    return max(map(to_int64, values))


@functions.add("sprig_min", "interface {}", "...interface {}")
def smallest(*values: Any) -> Int64:
    """Return the smallest integer."""
    return min(map(to_int64, values))


@functions.add("sprig_randInt", "int", "int")
def rand_int(low: int, high: int) -> int:
    """Return a random integer from *low* to below *high*."""
    if high <= low:
        msg = "invalid argument to Intn"
        raise GoError(msg)
    return random.randrange(low, high)  # noqa: S311 - Go's is no secret either


# --- decimals ---------------------------------------------------------------------------------

# Exact for every sum and product of a few float64, whose exponents span 632 decimal digits.
_EXACT = Context(prec=5000, rounding=ROUND_HALF_UP, Emax=10**9, Emin=-(10**9))
_DIVISION_PLACES = Decimal("1e-16")


def _decimal(value: Any) -> Decimal:
    number = to_float(value)
    if not math.isfinite(number):
        shown = "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
        msg = f"Cannot create a Decimal from {shown}"
        raise GoError(msg)
    return Decimal(repr(number))


def _divide(a: Decimal, b: Decimal) -> Decimal:
    if not b:
        msg = "decimal division by 0"
        raise GoError(msg)
    return _EXACT.quantize(_EXACT.divide(a, b), _DIVISION_PLACES)


def _folded(operate: Callable[[Decimal, Decimal], Decimal], first: Any, rest: Any) -> float:
    result = _decimal(first)
    for value in rest:
        result = operate(result, _decimal(value))
    return float(result) or 0.0  # sprig's decimals have no -0


@functions.add("sprig_add1f", "interface {}")
def add1f(value: Any) -> float:
    """Return *value* plus 1."""
    return _folded(_EXACT.add, value, [1])


@functions.add("sprig_addf", "...interface {}")
def addf(*values: Any) -> float:
    """Return the sum."""
    return _folded(_EXACT.add, 0.0, values)


@functions.add("sprig_subf", "interface {}", "...interface {}")
def subf(first: Any, *rest: Any) -> float:
    """Return the first number minus all others."""
    return _folded(_EXACT.subtract, first, rest)


@functions.add("sprig_mulf", "interface {}", "...interface {}")
def mulf(first: Any, *rest: Any) -> float:
    """Return the product."""
    return _folded(_EXACT.multiply, first, rest)


@functions.add("sprig_divf", "interface {}", "...interface {}")
def divf(first: Any, *rest: Any) -> float:
    """Return the first number divided by all others, each time rounded to 16 places."""
    return _folded(_divide, first, rest)


@functions.add("sprig_maxf", "interface {}", "...interface {}")
def maxf(*values: Any) -> float:
    """Return the greatest number."""
    numbers = list(map(to_float, values))
    return math.nan if any(map(math.isnan, numbers)) else max(numbers)


@functions.add("sprig_minf", "interface {}", "...interface {}")
def minf(*values: Any) -> float:
    """Return the smallest number."""
    numbers = list(map(to_float, values))
    return math.nan if any(map(math.isnan, numbers)) else min(numbers)


@functions.add("sprig_ceil", "interface {}")
def ceil(value: Any) -> float:
    """Return the next integer above, as a float."""
    number = to_float(value)
    return math.copysign(math.ceil(number), number) if math.isfinite(number) else number


@functions.add("sprig_floor", "interface {}")
def floor(value: Any) -> float:
    """Return the next integer below, as a float."""
    number = to_float(value)
    return math.copysign(math.floor(number), number) if math.isfinite(number) else number


@functions.add("sprig_round", "interface {}", "int", "...float64")
def round_to(value: Any, places: int, *limit: float) -> float:
    """Return *value* with *places* decimals; fractions from *limit* (0.5) on are rounded up."""
    try:
        power = math.pow(10, places)
    except OverflowError:
        power = math.inf
    scaled = to_float(value) * power
    if not power or not math.isfinite(scaled):  # Go divides on, to nothing or infinity
        nothing = math.isinf(power) or not scaled or math.isnan(scaled)
        return math.nan if nothing else math.copysign(math.inf, scaled)
    up = math.modf(scaled)[0] >= (limit[0] if limit else 0.5)
    whole = math.ceil(scaled) if up else math.floor(scaled)
    return whole / power if whole else math.copysign(0.0, scaled)


# --- sequences --------------------------------------------------------------------------------


@functions.add("sprig_until", "int")
def until(count: int) -> list[int]:
    """Return the integers from 0 to before *count*."""
    return until_step(0, count, -1 if count < 0 else 1)


@functions.add("sprig_untilStep", "int", "int", "int")
def until_step(start: int, stop: int, step: int) -> list[int]:
    """Return every *step*-th integer from *start* to before *stop*."""
    towards = step < 0 if stop < start else step > 0
    numbers = range(start, stop, step) if towards else range(0)
    if len(numbers) > _LONGEST:
        msg = f"a list of more than {_LONGEST} numbers"
        raise GoError(msg)
    return IntSlice(numbers)


_LONGEST = 10_000_000  # a typing error must not take the task's memory


@functions.add("sprig_seq", "...int")
def seq(*bounds: int) -> str:
    """Return a sequence as the shell's seq does: ``seq [first [step]] last``."""
    if not 1 <= len(bounds) <= 3:
        return ""
    first, last = bounds[0] if len(bounds) > 1 else 1, bounds[-1]
    direction = -1 if last < first else 1
    step = bounds[1] if len(bounds) == 3 else direction
    return " ".join(map(str, until_step(first, last + direction, step)))
