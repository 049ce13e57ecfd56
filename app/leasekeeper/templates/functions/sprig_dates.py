"""sprig's functions on dates and durations."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from leasekeeper.templates.functions.go_duration import (
    HOUR,
    MINUTE,
    SECOND,
    format_duration,
    parse_duration,
)
from leasekeeper.templates.functions.go_layout import parse_time
from leasekeeper.templates.functions.go_time import (
    ZERO,
    GoTime,
    from_unix,
    named_zone,
    now,
    span,
)
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import NumberRangeError, parse_int
from leasekeeper.templates.golang.values import Int32, Int64

functions = FunctionTable()


def _local() -> tzinfo:
    zone = datetime.now(UTC).astimezone().tzinfo
    return UTC if zone is None else zone


def _time_of(value: Any) -> GoTime:
    """Return a time, or the moment a number of seconds after 1970, or the present."""
    if type(value) is GoTime:
        return value
    if type(value) in {int, Int32, Int64}:
        return from_unix(value)
    return now()


functions.add("sprig_now")(now)


@functions.add("sprig_toDate", "string", "string")
def to_date(layout: str, text: str) -> GoTime:
    """Return the time that *text* says, or year 1."""
    try:
        return must_to_date(layout, text)
    except GoError:
        return ZERO


@functions.add("sprig_mustToDate", "string", "string")
def must_to_date(layout: str, text: str) -> GoTime:
    """Return the time that *text* says."""
    return parse_time(layout, text, _local())


@functions.add("sprig_date", "string", "interface {}")
def date(layout: str, value: Any) -> str:
    """Return a time in the local zone."""
    return date_in_zone(layout, value, "Local")


@functions.add("sprig_date_in_zone", "string", "interface {}", "string")
@functions.add("sprig_dateInZone", "string", "interface {}", "string")
def date_in_zone(layout: str, value: Any, zone: str) -> str:
    """Return a time in the named zone."""
    return _time_of(value).in_zone(named_zone(zone)).format(layout)


@functions.add("sprig_htmlDate", "interface {}")
def html_date(value: Any) -> str:
    """Return a date as HTML's date inputs want it."""
    return date_in_zone("2006-01-02", value, "Local")


@functions.add("sprig_htmlDateInZone", "interface {}", "string")
def html_date_in_zone(value: Any, zone: str) -> str:
    """Return a date in the named zone as HTML's date inputs want it."""
    return date_in_zone("2006-01-02", value, zone)


@functions.add("sprig_date_modify", "string", GoTime)
@functions.add("sprig_dateModify", "string", GoTime)
def date_modify(span: str, time: GoTime) -> GoTime:
    """Return the time after *span*, or the same time if that is no duration."""
    try:
        return time.plus(parse_duration(span))
    except GoError:
        return time


@functions.add("sprig_must_date_modify", "string", GoTime)
@functions.add("sprig_mustDateModify", "string", GoTime)
def must_date_modify(span: str, time: GoTime) -> GoTime:
    """Return the time after *span*."""
    return time.plus(parse_duration(span))


@functions.add("sprig_unixEpoch", GoTime)
def unix_epoch(time: GoTime) -> str:
    """Return the seconds since 1970."""
    return str(time.unix)


@functions.add("sprig_ago", "interface {}")
def ago(value: Any) -> str:
    """Return how long ago a time was, in whole seconds."""
    length = span(now(), _time_of(value))
    return format_duration(min((length + SECOND // 2) // SECOND * SECOND, (1 << 63) - 1))


@functions.add("sprig_duration", "interface {}")
def duration(value: Any) -> str:
    """Return a number of seconds as 1h2m3s."""
    seconds = 0
    if type(value) is str:
        try:
            seconds = parse_int(value)
        except NumberRangeError:
            seconds = -(1 << 63) if value.startswith("-") else (1 << 63) - 1
        except GoError:
            seconds = 0
    elif type(value) is Int64:
        seconds = value
    return format_duration(Int64.wrap(seconds * SECOND))


_DAY = 24 * HOUR
_ROUNDED = (
    (365 * _DAY, "y"),
    (30 * _DAY, "mo"),
    (_DAY, "d"),
    (HOUR, "h"),
    (MINUTE, "m"),
    (SECOND, "s"),
)


@functions.add("sprig_durationRound", "interface {}")
def duration_round(value: Any) -> str:
    """Return a duration in its greatest unit only."""
    length = abs(_span_of(value))
    for size, unit in _ROUNDED:
        if length > size:
            return f"{length // size}{unit}"
    return "0s"


def _span_of(value: Any) -> int:
    if type(value) is str:
        try:
            return parse_duration(value)
        except GoError:
            return 0
    if type(value) is GoTime:
        return span(now(), value)
    return int(value) if type(value) is Int64 else 0
