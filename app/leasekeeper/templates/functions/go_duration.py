"""Go's ``time.Duration``: nanoseconds that print as 1h2m3.5s."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from leasekeeper.templates.golang.functions import Function, GoError
from leasekeeper.templates.golang.values import GoInteger, Int64, encode

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_MOST_DIGITS = 19  # what an int64 can have
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


class Duration(GoInteger):
    """A span of time in nanoseconds."""

    __slots__ = ()
    go_type, go_kind, bits, signed = "time.Duration", "int64", 64, True

    def __str__(self) -> str:
        return format_duration(int(self))


def format_duration(nanoseconds: int) -> str:
    """Return the span as Go prints it: ``1h0m0s``, ``1.5ms``, ``0s``."""
    sign = "-" if nanoseconds < 0 else ""
    span = abs(nanoseconds)
    if span == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if span < min(size * 1_000, SECOND):
            return f"{sign}{_with_fraction(span, size)}{unit}"
    hours, rest = divmod(span, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{_with_fraction(rest, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _with_fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a Go duration such as ``-1.5h`` or ``2h45m``.

    :raises GoError: with Go's message if *text* is none.
    """
    body = text[1:] if text[:1] in {"-", "+"} else text
    if body == "0":
        return 0
    if not body:
        raise _invalid(text)
    total = at = 0
    while at < len(body):
        match = _PART.match(body, at)
        assert match is not None
        total += _part(match, text)
        at = match.end()
    negative = text.startswith("-")
    if total > (1 << 63) - (not negative):
        raise _invalid(text)
    return -total if negative else total


def _part(match: re.Match[str], text: str) -> int:
    whole, fraction, unit = match.groups()
    if (not whole and not fraction) or len(whole) > _MOST_DIGITS:
        raise _invalid(text)
    if not unit:
        msg = f"time: missing unit in duration {quote(text)}"
        raise GoError(msg)
    if unit not in _UNITS:
        msg = f"time: unknown unit {quote(unit)} in duration {quote(text)}"
        raise GoError(msg)
    size = _UNITS[unit]
    digits = (fraction or "")[:_MOST_DIGITS].ljust(_MOST_DIGITS, "0")
    return int(whole or 0) * size + int(digits) * size // 10**19


def _invalid(text: str) -> GoError:
    return GoError(f"time: invalid duration {quote(text)}")


def quote(text: str) -> str:
    """Quote *text* as Go's package time does, which shows bytes where strconv shows letters."""
    return '"{}"'.format("".join(map(_shown, encode(text))))


def _shown(byte: int) -> str:
    char = chr(byte)
    if char in '"\\':
        return f"\\{char}"
    return char if " " <= char < "\x7f" or byte == 0x7F else f"\\x{byte:02x}"


def _whole(unit: int) -> Callable[[Duration], Int64]:
    """Return what counts whole *unit*s, without the rest, towards zero."""
    return lambda span: Int64(abs(span) // unit * (-1 if span < 0 else 1))


def truncated(span: Duration, unit: Duration) -> Duration:
    """Return *span* without what is less than *unit*, towards zero."""
    if unit <= 0:
        return span
    return Duration(abs(span) // unit * unit * (-1 if span < 0 else 1))


def rounded(span: Duration, unit: Duration) -> Duration:
    """Return the multiple of *unit* that is nearest to *span*; of two, the farther from zero."""
    if unit <= 0:
        return span
    nearest = (abs(span) + unit // 2 + unit % 2) // unit * unit * (-1 if span < 0 else 1)
    return clamped(nearest)


def clamped(nanoseconds: int) -> Duration:
    """Return *nanoseconds*, or the longest span that there is."""
    return Duration(max(-(1 << 63), min(nanoseconds, (1 << 63) - 1)))


_METHODS: dict[str, tuple[Any, ...]] = {
    "String": (str,),
    "Abs": (lambda span: clamped(abs(span)),),
    "Nanoseconds": (Int64,),
    "Microseconds": (_whole(1_000),),
    "Milliseconds": (_whole(1_000_000),),
    "Seconds": (lambda span: span / SECOND,),
    "Minutes": (lambda span: span / MINUTE,),
    "Hours": (lambda span: span / HOUR,),
    "Round": (rounded, Duration),
    "Truncate": (truncated, Duration),
}
Duration.go_methods = {
    name: Function.declare(name, call, *types) for name, (call, *types) in _METHODS.items()
}
