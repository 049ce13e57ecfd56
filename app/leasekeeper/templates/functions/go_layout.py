"""Go's time layouts: a date is described by how the 2nd of January 2006, 15:04:05 would look."""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NoReturn

from leasekeeper.templates.functions.go_duration import quote
from leasekeeper.templates.functions.go_time import DAYS, MONTHS, GoTime, fixed_zone
from leasekeeper.templates.golang.functions import GoError

_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2(?!006)|002|0[1-6]|15|[12345]|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00|)|[.,](?:0+|9+)(?![0-9])"
)


# --- writing ----------------------------------------------------------------------------------


def format_time(time: GoTime, layout: str) -> str:
    """Return *time* as *layout* shows it."""
    return _ELEMENT.sub(lambda match: _formatted(time, match[0]), layout)


def _formatted(time: GoTime, element: str) -> str:
    if element[0] in ".,":
        return _fraction(time.nanosecond, element)
    if element[0] in "-Z":
        return _offset(time.offset_s, element)
    return _FORMATS[element](time)


def _fraction(nanosecond: int, element: str) -> str:
    digits = f"{nanosecond:09}"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "9":
        digits = digits.rstrip("0")
    return f"{element[0]}{digits}" if digits else ""


def _offset(offset_s: int, element: str) -> str:
    if element[0] == "Z" and offset_s == 0:
        return "Z"
    hours, rest = divmod(abs(offset_s), 3600)
    parts = [f"{hours:02}", f"{rest // 60:02}", f"{rest % 60:02}"]
    count = sum(char.isdigit() for char in element) // 2
    return ("-" if offset_s < 0 else "+") + (":" if ":" in element else "").join(parts[:count])


def _hour_12(time: GoTime) -> int:
    return time.moment.hour % 12 or 12


def _zone(time: GoTime) -> str:
    return time.zone or _offset(time.offset_s, "-0700")


_FORMATS: dict[str, Callable[[GoTime], str]] = {
    "January": lambda time: MONTHS[time.moment.month - 1],
    "Jan": lambda time: MONTHS[time.moment.month - 1][:3],
    "Monday": lambda time: DAYS[time.weekday],
    "Mon": lambda time: DAYS[time.weekday][:3],
    "MST": _zone,
    "2006": lambda time: f"{time.moment.year:04}",
    "06": lambda time: f"{time.moment.year % 100:02}",
    "01": lambda time: f"{time.moment.month:02}",
    "1": lambda time: str(time.moment.month),
    "02": lambda time: f"{time.moment.day:02}",
    "_2": lambda time: f"{time.moment.day:2}",
    "2": lambda time: str(time.moment.day),
    "002": lambda time: f"{time.year_day:03}",
    "__2": lambda time: f"{time.year_day:3}",
    "15": lambda time: f"{time.moment.hour:02}",
    "03": lambda time: f"{_hour_12(time):02}",
    "3": lambda time: str(_hour_12(time)),
    "04": lambda time: f"{time.moment.minute:02}",
    "4": lambda time: str(time.moment.minute),
    "05": lambda time: f"{time.moment.second:02}",
    "5": lambda time: str(time.moment.second),
    "PM": lambda time: "PM" if time.moment.hour >= 12 else "AM",
    "pm": lambda time: "pm" if time.moment.hour >= 12 else "am",
}


# --- reading ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What has been read of a time so far."""

    layout: str
    text: str
    rest: str
    numbers: dict[str, int] = field(default_factory=dict)
    afternoon: bool | None = None
    zone: tzinfo | None = None

    def fail(self, element: str) -> NoReturn:
        where = f"cannot parse {quote(self.rest)} as {quote(element)}"
        msg = f"parsing time {quote(self.text)} as {quote(self.layout)}: {where}"
        raise GoError(msg)

    def refuse(self, why: str) -> NoReturn:
        msg = f"parsing time {quote(self.text)}: {why}"
        raise GoError(msg)

    def take(self, pattern: str, element: str) -> str:
        match = re.match(pattern, self.rest)
        if not match:
            self.fail(element)
        self.rest = self.rest[match.end() :]
        return match[0]


def parse_time(layout: str, text: str, local: tzinfo) -> GoTime:
    """Return the time that *text* says in *layout*; without a zone it is in *local*.

    :raises GoError: with Go's message if *text* does not follow the layout.
    """
    reading = _Reading(layout, text, text)
    end = 0
    for match in _ELEMENT.finditer(layout):
        _literal(reading, layout[end : match.start()])
        end = match.end()
        _element(reading, match[0], followed_by_fraction=_is_fraction(layout, end))
    _literal(reading, layout[end:])
    if reading.rest:
        reading.refuse(f"extra text: {quote(reading.rest)}")
    return _assembled(reading, local)


def _is_fraction(layout: str, at: int) -> bool:
    match = _ELEMENT.match(layout, at)
    return match is not None and match[0][0] in ".,"


def _literal(reading: _Reading, text: str) -> None:
    """Skip *text*; one blank in the layout stands for any number of them."""
    for char in re.sub(" +", " ", text):
        if char == " ":
            if reading.rest and not reading.rest.startswith(" "):
                reading.fail(text)
            reading.rest = reading.rest.lstrip(" ")
        elif reading.rest.startswith(char):
            reading.rest = reading.rest[1:]
        else:
            reading.fail(text)


# element -> (what it says, what it looks like, smallest, largest, name in error messages)
_NUMBERS: dict[str, tuple[str, str, int, int, str]] = {
    "2006": ("year", "[0-9]{4}", 0, 9999, ""),
    "06": ("year", "[0-9]{2}", 0, 99, ""),
    "01": ("month", "[0-9]{2}", 1, 12, "month"),
    "1": ("month", "[0-9]{1,2}", 1, 12, "month"),
    "02": ("day", "[0-9]{2}", 0, 99, "day"),
    "_2": ("day", " ?[0-9]{1,2}", 0, 99, "day"),
    "2": ("day", "[0-9]{1,2}", 0, 99, "day"),
    "002": ("year day", "[0-9]{3}", 0, 999, "day-of-year"),
    "__2": ("year day", " {0,2}[0-9]{1,3}", 0, 999, "day-of-year"),
    "15": ("hour", "[0-9]{1,2}", 0, 23, "hour"),
    "03": ("hour", "[0-9]{2}", 0, 12, "hour"),
    "3": ("hour", "[0-9]{1,2}", 0, 12, "hour"),
    "04": ("minute", "[0-9]{2}", 0, 59, "minute"),
    "4": ("minute", "[0-9]{1,2}", 0, 59, "minute"),
    "05": ("second", "[0-9]{2}", 0, 59, "second"),
    "5": ("second", "[0-9]{1,2}", 0, 59, "second"),
}
_OFFSETS = {
    7: "[-+][0-9]{6}",
    9: "[-+][0-9]{2}:[0-9]{2}:[0-9]{2}",
    5: "[-+][0-9]{4}",
    6: "[-+][0-9]{2}:[0-9]{2}",
    3: "[-+][0-9]{2}",
}


def _element(reading: _Reading, element: str, *, followed_by_fraction: bool) -> None:
    if element in _NUMBERS:
        name, pattern, smallest, largest, called = _NUMBERS[element]
        number = int(reading.take(pattern, element))
        if not smallest <= number <= largest:
            reading.refuse(f"{called} out of range")
        if element == "06":
            number += 1900 if number >= 69 else 2000
        reading.numbers[name] = number
        if name == "second" and not followed_by_fraction and re.match("[.,][0-9]", reading.rest):
            _read_fraction(reading, "[.,][0-9]+", element)
    elif element in {"January", "Jan"}:
        reading.numbers["month"] = _named(reading, MONTHS, element) + 1
    elif element in {"Monday", "Mon"}:
        _named(reading, DAYS, element)
    elif element in {"PM", "pm"}:
        reading.afternoon = (
            reading.take("[AP]M" if element == "PM" else "[ap]m", element)[0] in "Pp"
        )
    elif element == "MST":
        _read_zone_name(reading)
    elif element[0] in "-Z":
        _read_offset(reading, element)
    elif element[1] == "0":
        _read_fraction(reading, f"[.,][0-9]{{{len(element) - 1}}}", element)
    elif re.match("[.,][0-9]", reading.rest):
        _read_fraction(reading, "[.,][0-9]+", element)


def _named(reading: _Reading, names: tuple[str, ...], element: str) -> int:
    choices = list(names) if element in {"January", "Monday"} else [name[:3] for name in names]
    taken = reading.take(f"(?i:{'|'.join(choices)})", element).lower()
    return [name.lower() for name in choices].index(taken)


def _read_fraction(reading: _Reading, pattern: str, element: str) -> None:
    digits = reading.take(pattern, element)[1:]
    reading.numbers["nanosecond"] = int(digits[:9].ljust(9, "0"))


# Three letters, or more that end in T: abbreviations are not told from words any better in Go.
_ZONE_NAME = (
    "GMT[-+](?:2[0-3]|[01]?[0-9])(?![0-9])|ChST|MeST|(?:WITA|[A-Z]{3,4}T|[A-Z]{3})(?![A-Z])"
    "|[-+](?:2[0-3]|[01]?[0-9])(?![0-9])"
)


def _read_zone_name(reading: _Reading) -> None:
    name = reading.take(_ZONE_NAME, "MST")
    reading.zone = UTC if name == "UTC" else fixed_zone(0, name)


def _read_offset(reading: _Reading, element: str) -> None:
    if element[0] == "Z" and reading.rest[:1] == "Z":
        reading.rest = reading.rest[1:]
        reading.zone = UTC
        return
    taken = reading.take(_OFFSETS[len(element)], element)
    digits = taken[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 24 or minutes >= 60 or seconds >= 60:
        reading.refuse(
            "time zone offset hour out of range"
            if hours > 24
            else "time zone offset minute out of range"
        )
    offset = (hours * 60 + minutes) * 60 + seconds
    reading.zone = fixed_zone(-offset if taken[0] == "-" else offset)


def _assembled(reading: _Reading, local: tzinfo) -> GoTime:
    numbers = reading.numbers
    year = numbers.get("year", 0)
    month, day = _date(reading, year)
    hour = numbers.get("hour", 0)
    if reading.afternoon is not None:
        hour = hour % 12 + 12 * reading.afternoon
    # Python's calendar begins a year after Go's; only layouts without a year get there.
    moment = datetime(
        max(year, 1),
        month,
        day,
        hour,
        numbers.get("minute", 0),
        numbers.get("second", 0),
        tzinfo=reading.zone or local,
    )
    if reading.zone is not None and moment.utcoffset() == moment.astimezone(local).utcoffset():
        named = moment.tzname() or ""
        moment = moment if named.isalpha() else moment.astimezone(local)
    return GoTime(moment, numbers.get("nanosecond", 0))


def _date(reading: _Reading, year: int) -> tuple[int, int]:
    numbers = reading.numbers
    month, day = numbers.get("month", 1), numbers.get("day", 1)
    if "year day" in numbers:
        if not 1 <= numbers["year day"] <= 365 + isleap(year):
            reading.refuse("day-of-year out of range")
        # Any year does, as long as it is a leap year when this one is.
        first = datetime(2000 if isleap(year) else 2001, 1, 1, tzinfo=UTC)
        date = first + timedelta(days=numbers["year day"] - 1)
        for name, number in (("month", date.month), ("day", date.day)):
            if numbers.get(name, number) != number:
                reading.refuse(f"day-of-year does not match {name}")
        return date.month, date.day
    if not 1 <= day <= monthrange(year + 400, month)[1]:
        reading.refuse("day out of range")
    return month, day
