"""Durations as people write them: ``90s``, ``5m``, ``1h30m``, ``500ms``, ``2d``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
PATTERN = f"^(0|({_PART.pattern})+)$"
LONGEST_S = 10 * 365 * 86400.0


def parse_duration(value: object) -> float:
    """Return *value* in seconds; a bare ``0`` is the only number that needs no unit.

    :raises ValueError: if it is not a duration, has no unit, or is longer than ten years.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if isinstance(value, str):
        text = value.strip()
        if text == "0":
            return 0.0
        if _WHOLE.fullmatch(text):
            seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))
            if seconds > LONGEST_S:
                msg = "a duration of more than ten years is surely a mistake"
                raise ValueError(msg)
            return seconds
    msg = 'a duration needs a unit, such as "90s", "5m", "1h30m" or "2d"'
    raise ValueError(msg)


def format_duration(seconds: float) -> str:
    """Return *seconds* the way `parse_duration` reads it: ``5400`` becomes ``1h30m``."""
    if seconds < 1:
        return "0s" if seconds == 0 else f"{seconds * 1000:g}ms"
    if seconds != int(seconds):
        return f"{seconds:g}s"
    whole, parts = int(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        msg = "needs to be longer than 0"
        raise ValueError(msg)
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["90s", "1h30m", "0"]}),
]
"""A settings field that is written with a unit and held in seconds."""

Timeout = Annotated[Duration, AfterValidator(_above_zero)]
"""A duration for which 0 has no meaning."""
