"""Go's conversions between numbers and text (package strconv)."""

from __future__ import annotations

import math
import re

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.quoting import quote

_DIGITS = {
    2: re.compile(r"[01]+"),
    8: re.compile(r"[0-7]+"),
    10: re.compile(r"[0-9]+"),
    16: re.compile(r"[0-9a-fA-F]+"),
}
_PREFIXES = {"0x": 16, "0b": 2, "0o": 8}
_DECIMAL_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_NAMED_FLOAT = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_PLAIN_EXPONENTS = 6  # from 1e+06 on, the shortest %g is written with an exponent
_MAX_FLOAT32 = 3.4028235677973366e38  # halfway to the next power of two rounds to infinity
_MAX_DIGITS = 4000  # what CPython converts without complaint; more never fits 64 bits anyway


class NumberSyntaxError(GoError):
    """Text that is not a number."""


class NumberRangeError(GoError):
    """A number that does not fit the type it was asked for."""


def _failed(kind: type[GoError], function: str, text: str) -> GoError:
    what = "value out of range" if kind is NumberRangeError else "invalid syntax"
    return kind(f"strconv.{function}: parsing {quote(text)}: {what}")


def parse_int(text: str, base: int = 10, bits: int = 64) -> int:
    """Return the signed integer that *text* spells; base 0 honours prefixes and underscores.

    :raises GoError: ``strconv.ParseInt: parsing "...": invalid syntax`` or ``value out of range``.
    """
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    magnitude = _magnitude(digits, base)
    if magnitude is None:
        raise _failed(NumberSyntaxError, "ParseInt", text)
    number = -magnitude if sign == "-" else magnitude
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise _failed(NumberRangeError, "ParseInt", text)
    return number


def parse_uint(text: str, base: int = 10, bits: int = 64) -> int:
    """Return the unsigned integer that *text* spells; signs are not allowed.

    :raises GoError: as `parse_int`, for ``strconv.ParseUint``.
    """
    magnitude = _magnitude(text, base)
    if magnitude is None:
        raise _failed(NumberSyntaxError, "ParseUint", text)
    if magnitude >= 1 << bits:
        raise _failed(NumberRangeError, "ParseUint", text)
    return magnitude


def _magnitude(text: str, base: int) -> int | None:
    digits = text
    if base == 0:
        digits, base = _split_prefix(text)
        if "_" in text:
            if not underscores_are_allowed(text):
                return None
            digits = digits.replace("_", "")
    if not _DIGITS[base].fullmatch(digits):
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits, base) if len(digits) <= _MAX_DIGITS else 1 << 64


def _split_prefix(text: str) -> tuple[str, int]:
    base = _PREFIXES.get(text[:2].lower())
    if base:
        return text[2:], base
    if text[:1] == "0" and len(text) > 1:
        return text[1:], 8
    return text, 10


def underscores_are_allowed(text: str) -> bool:
    """Whether underscores stand only between digits, or after a base prefix."""
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    prefixed = body[:2].lower() in _PREFIXES
    digit = "[0-9a-fA-F]" if body[:2].lower() == "0x" else "[0-9]"
    rest = body[2:] if prefixed else body
    if prefixed and rest.startswith("_"):
        rest = rest[1:]
        if not re.match(digit, rest):
            return False
    return not re.search(f"(?<!{digit})_|_(?!{digit})", rest)


def parse_float(text: str, bits: int = 64) -> float:
    """Return the float that *text* spells, decimal or hexadecimal, ``inf`` and ``nan`` included.

    :raises GoError: as `parse_int`, for ``strconv.ParseFloat``.
    """
    plain = text
    if "_" in text and underscores_are_allowed(text):
        plain = text.replace("_", "")
    if _NAMED_FLOAT.fullmatch(plain):
        return float(plain)
    if _HEX_FLOAT.fullmatch(plain):
        try:
            number = float.fromhex(plain)
        except OverflowError:
            number = math.inf
    elif _DECIMAL_FLOAT.fullmatch(plain):
        number = float(plain)
    else:
        raise _failed(NumberSyntaxError, "ParseFloat", text)
    if math.isinf(number) or (bits == 32 and abs(number) >= _MAX_FLOAT32):
        raise _failed(NumberRangeError, "ParseFloat", text)
    return to_single(number) if bits == 32 else number


def parse_bool(text: str) -> bool:
    """Return the boolean that *text* spells.

    :raises GoError: ``strconv.ParseBool: parsing "...": invalid syntax``.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _failed(NumberSyntaxError, "ParseBool", text)


def to_single(number: float) -> float:
    """Round *number* to single precision."""
    import struct  # nobody has single precision but those who ask for it

    return float(struct.unpack("f", struct.pack("f", number))[0])


def format_float(number: float, verb: str = "g", precision: int = -1, bits: int = 64) -> str:
    """Return *number* as ``strconv.FormatFloat`` does; precision -1 is the shortest that is exact.

    *verb* is one of ``b e E f g G x X``.
    """
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if verb == "b":
        return _binary(number, bits)
    if verb in "xX":
        text = _hexadecimal(number, precision)
        return text.upper() if verb == "X" else text
    if precision < 0:
        text = _shortest(number, verb.lower(), bits)
    else:
        text = f"{number:.{precision}{verb.lower()}}"
    return text.upper() if verb in "EG" else text


def _shortest(number: float, verb: str, bits: int) -> str:
    sign, digits, exponent = _decimal(number, bits)
    if verb == "e" or (verb == "g" and not -4 <= exponent < _PLAIN_EXPONENTS):
        return sign + _scientific(digits, exponent)
    return sign + _positional(digits, exponent)


def _decimal(number: float, bits: int) -> tuple[str, str, int]:
    """Return sign, shortest significant digits and the exponent of the first of them."""
    text = _shortest_single(number) if bits == 32 else repr(number)
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 + int(power or 0)
    exponent -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    return (sign, digits, exponent) if digits else (sign, "0", 0)


def _shortest_single(number: float) -> str:
    for precision in range(8):
        text = f"{number:.{precision}e}"
        if to_single(float(text)) == number:
            return text
    return f"{number:.8e}"


def _scientific(digits: str, exponent: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def _binary(number: float, bits: int) -> str:
    mantissa_bits, smallest = (23, -149) if bits == 32 else (52, -1074)
    mantissa, exponent = math.frexp(abs(number))
    power = max(exponent - mantissa_bits - 1, smallest) if mantissa else smallest
    sign = "-" if math.copysign(1, number) < 0 else ""
    return f"{sign}{int(math.ldexp(mantissa, exponent - power))}p{power:+d}"


def _hexadecimal(number: float, precision: int) -> str:
    sign = "-" if math.copysign(1, number) < 0 else ""
    fraction, exponent = math.frexp(abs(number))
    # One hexadecimal digit before the point, 52 bits after it.
    scaled = int(math.ldexp(fraction, 53)) if fraction else 0
    exponent = exponent - 1 if fraction else 0
    if 0 <= precision < 13:
        shift = 4 * (13 - precision)
        kept, rest = scaled >> shift, scaled & ((1 << shift) - 1)
        half = 1 << (shift - 1)
        kept += rest > half or (rest == half and kept & 1)
        scaled = kept << shift
        if scaled >> 53:
            scaled, exponent = scaled >> 1, exponent + 1
    digits = f"{scaled & ((1 << 52) - 1):013x}"
    exact = precision < 0
    digits = digits.rstrip("0") if exact else digits[:precision].ljust(precision, "0")
    point = f".{digits}" if digits else ""
    power = f"{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return f"{sign}0x{scaled >> 52}{point}p{power}"
