"""Go's ``time.Time`` as templates meet it: layouts instead of strftime, and a few methods."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from leasekeeper.templates.functions.documents import TextStruct
from leasekeeper.templates.functions.go_duration import (
    SECOND,
    Duration,
    clamped,
    rounded,
    truncated,
)
from leasekeeper.templates.golang.functions import Function, GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import GoInteger, GoStruct, Int64, NilPointer

RFC3339 = "2006-01-02T15:04:05Z07:00"
RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
_OUTSIDE = "time: outside of the years 1 to 9999"
_STRING = "2006-01-02 15:04:05.999999999 -0700 MST"

# Not from the calendar module, whose names follow the locale.
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Month(GoInteger):
    """A month that prints as its name."""

    __slots__ = ()
    go_type, go_kind, bits, signed = "time.Month", "int", 64, True


class Weekday(GoInteger):
    """A day of the week, from Sunday as 0, that prints as its name."""

    __slots__ = ()
    go_type, go_kind, bits, signed = "time.Weekday", "int", 64, True


@dataclass(frozen=True, slots=True)
class GoTime(TextStruct):
    """A moment with its zone. *moment* has no microseconds; *nanosecond* is below a billion."""

    go_type = "time.Time"
    go_literal = True

    moment: datetime
    nanosecond: int = 0

    def __str__(self) -> str:
        return self.format(_STRING)

    def marshal_text(self) -> str:
        """Return the time as documents hold it."""
        return self.format(RFC3339_NANO)

    def format(self, layout: str) -> str:
        """Return the time as the Go *layout* shows it."""
        from leasekeeper.templates.functions.go_layout import format_time

        return format_time(self, layout)

    @property
    def unix(self) -> int:
        """Seconds since 1970."""
        return (self.moment - _EPOCH) // timedelta(seconds=1)

    @property
    def unix_nano(self) -> int:
        """Nanoseconds since 1970."""
        return self.unix * SECOND + self.nanosecond

    @property
    def zone(self) -> str:
        """The zone's short name; empty if it is only an offset."""
        name = self.moment.tzname() or ""
        return "" if name.startswith(("UTC+", "UTC-")) or name[:1] in {"+", "-"} else name

    @property
    def offset_s(self) -> int:
        """Seconds east of Greenwich."""
        offset = self.moment.utcoffset()
        return 0 if offset is None else offset // timedelta(seconds=1)

    @property
    def year_day(self) -> int:
        """The day of the year, from 1."""
        return self.moment.timetuple().tm_yday

    @property
    def weekday(self) -> int:
        """The day of the week, from Sunday as 0."""
        return self.moment.isoweekday() % 7

    @property
    def in_go(self) -> str:
        """The expression that makes it in Go."""
        moment = self.moment
        parts = (moment.day, moment.hour, moment.minute, moment.second, self.nanosecond)
        month = f"time.{MONTHS[moment.month - 1]}"
        numbers = ", ".join(map(str, parts))
        return f"time.Date({moment.year}, {month}, {numbers}, {self._zone_in_go})"

    @property
    def _zone_in_go(self) -> str:
        zone = self.moment.tzinfo
        if zone is UTC:
            return "time.UTC"
        if zone == self.moment.astimezone().tzinfo and self.zone:
            return "time.Local"
        return f"time.Location({quote(Location(zone).name)})"

    def to_multiple(
        self, unit: Duration, change: Callable[[Duration, Duration], Duration]
    ) -> GoTime:
        """Return the time with *change* made to what has passed since the year 1."""
        if unit <= 0:
            return self
        passed = self.unix_nano - ZERO.unix_nano
        rest = Duration(passed % unit)
        return self.plus(change(rest, unit) - rest)

    def plus(self, nanoseconds: int) -> GoTime:
        """Return the time *nanoseconds* later.

        :raises GoError: if it leaves the years 1 to 9999.
        """
        seconds, nanosecond = divmod(self.nanosecond + nanoseconds, SECOND)
        try:
            later = (self.moment.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(
                self.moment.tzinfo
            )
        except OverflowError:
            raise GoError(_OUTSIDE) from None
        return GoTime(later, nanosecond)

    def in_zone(self, zone: tzinfo | None) -> GoTime:
        """Return the same moment in *zone*; None is the local one.

        :raises GoError: if the years 1 to 9999 do not hold it there.
        """
        try:
            return replace(self, moment=self.moment.astimezone(zone))
        except OverflowError:
            raise GoError(_OUTSIDE) from None

    def plus_date(self, years: int, months: int, days: int) -> GoTime:
        """Return the time on another date, normalised as Go does (31 April is 1 May)."""
        year, month = divmod(
            self.moment.year * 12 + self.moment.month - 1 + years * 12 + months, 12
        )
        try:
            first = self.moment.replace(year=year, month=month + 1, day=1)
            moved = first + timedelta(days=self.moment.day - 1 + days)
        except (OverflowError, ValueError):
            raise GoError(_OUTSIDE) from None
        return replace(self, moment=moved)


@dataclass(frozen=True, slots=True)
class Location(GoStruct):
    """A time zone as a template value; None is the local one."""

    go_type = "time.Location"
    go_pointer = True

    zone: tzinfo | None

    @property
    def name(self) -> str:
        """Its name; empty if it is only an offset."""
        if self.zone is None:
            return os.environ.get("TZ", "Local")
        name = getattr(self.zone, "key", None) or self.zone.tzname(None) or ""
        return "" if name.startswith(("UTC+", "UTC-")) else name


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = GoTime(datetime(1, 1, 1, tzinfo=UTC))


def now() -> GoTime:
    """Return the present in the local zone."""
    moment = datetime.now(UTC).astimezone()
    return GoTime(moment.replace(microsecond=0), moment.microsecond * 1_000)


def from_unix(seconds: int) -> GoTime:
    """Return the moment *seconds* after 1970 in the local zone.

    :raises GoError: if it leaves the years 1 to 9999.
    """
    return GoTime(_EPOCH).plus(seconds * SECOND).in_zone(None)


def named_zone(name: str) -> tzinfo | None:
    """Return the zone of a name such as ``Europe/Berlin``: UTC if unknown, None if local."""
    if name == "Local":
        return None
    if name in {"", "UTC"}:
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def fixed_zone(offset_s: int, name: str = "") -> tzinfo:
    """Return a zone that is only an offset, or an abbreviation of unknown offset."""
    offset = timedelta(seconds=offset_s)
    return timezone(offset, name) if name else timezone(offset)


def span(one: GoTime, other: GoTime) -> Duration:
    """Return the time from *other* to *one*, or the longest that there is."""
    nanoseconds = one.unix_nano - other.unix_nano
    return clamped(nanoseconds)


def _in(time: GoTime, place: Location | NilPointer) -> GoTime:
    if isinstance(place, NilPointer):
        msg = "time: missing Location in call to Time.In"
        raise GoError(msg)
    return time.in_zone(place.zone)


def _compared(one: GoTime, other: GoTime) -> int:
    return (one.unix_nano > other.unix_nano) - (one.unix_nano < other.unix_nano)


_METHODS: dict[str, tuple[Any, ...]] = {
    "String": (str,),
    "Format": (lambda time, layout: time.format(layout), "string"),
    "Unix": (lambda time: Int64(time.unix),),
    "UnixMicro": (lambda time: Int64(time.unix_nano // 1_000),),
    "UnixMilli": (lambda time: Int64(time.unix_nano // 1_000_000),),
    "UnixNano": (lambda time: Int64.wrap(time.unix_nano),),
    "Year": (lambda time: time.moment.year,),
    "Month": (lambda time: Month(time.moment.month),),
    "Day": (lambda time: time.moment.day,),
    "YearDay": (lambda time: time.year_day,),
    "Weekday": (lambda time: Weekday(time.weekday),),
    "Hour": (lambda time: time.moment.hour,),
    "Minute": (lambda time: time.moment.minute,),
    "Second": (lambda time: time.moment.second,),
    "Nanosecond": (lambda time: time.nanosecond,),
    "IsZero": (lambda time: time.unix_nano == ZERO.unix_nano,),
    "UTC": (lambda time: time.in_zone(UTC),),
    "Local": (lambda time: time.in_zone(None),),
    "Location": (lambda time: Location(time.moment.tzinfo),),
    "In": (_in, Location),
    "IsDST": (lambda time: bool(time.moment.dst()),),
    "GoString": (lambda time: time.in_go,),
    "Add": (GoTime.plus, Duration),
    "Round": (lambda time, unit: time.to_multiple(unit, rounded), Duration),
    "Truncate": (lambda time, unit: time.to_multiple(unit, truncated), Duration),
    "Compare": (_compared, GoTime),
    "AddDate": (GoTime.plus_date, "int", "int", "int"),
    "Sub": (span, GoTime),
    "Before": (lambda time, other: time.unix_nano < other.unix_nano, GoTime),
    "After": (lambda time, other: time.unix_nano > other.unix_nano, GoTime),
    "Equal": (lambda time, other: time.unix_nano == other.unix_nano, GoTime),
}
GoTime.go_methods = {
    name: Function.declare(name, call, *types) for name, (call, *types) in _METHODS.items()
}
Location.go_methods = {"String": Function.declare("String", lambda place: place.name)}
Month.go_methods = {"String": Function.declare("String", lambda month: MONTHS[month - 1])}
Weekday.go_methods = {"String": Function.declare("String", lambda day: DAYS[day])}
