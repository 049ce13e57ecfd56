"""Go's ``time.Time`` as templates meet it: layouts instead of strftime, and a few methods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from leasekeeper.templates.functions.documents import TextStruct
from leasekeeper.templates.functions.go_duration import SECOND, Duration
from leasekeeper.templates.golang.functions import Function, GoError
from leasekeeper.templates.golang.values import GoInteger, Int64

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
    return Duration(max(-(1 << 63), min(nanoseconds, (1 << 63) - 1)))


_METHODS: dict[str, tuple[Any, ...]] = {
    "String": (str,),
    "Format": (lambda time, layout: time.format(layout), "string"),
    "Unix": (lambda time: Int64(time.unix),),
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
    "AddDate": (GoTime.plus_date, "int", "int", "int"),
    "Sub": (span, GoTime),
    "Before": (lambda time, other: time.unix_nano < other.unix_nano, GoTime),
    "After": (lambda time, other: time.unix_nano > other.unix_nano, GoTime),
    "Equal": (lambda time, other: time.unix_nano == other.unix_nano, GoTime),
}
GoTime.go_methods = {
    name: Function.declare(name, call, *types) for name, (call, *types) in _METHODS.items()
}
Month.go_methods = {"String": Function.declare("String", lambda month: MONTHS[month - 1])}
Weekday.go_methods = {"String": Function.declare("String", lambda day: DAYS[day])}
