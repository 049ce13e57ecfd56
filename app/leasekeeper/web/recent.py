"""The newest log events as the status page shows them: masked as they were written, and short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leasekeeper.telemetry.audit import lease_hash
from leasekeeper.telemetry.events import recent

_LONGEST_TEXT = 400
# A traceback is for the log; the others are kept apart from the fields.
_LEFT_OUT = ("exception", "time", "level", "event")


def newest_first() -> list[dict[str, Any]]:
    """Return what is remembered as ``time``, ``level``, ``event`` and ``fields``."""
    # A copy: other threads may be writing their logs.
    return [_shown(event) for event in reversed(tuple(recent))]


def _shown(event: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: _short(key, value) for key, value in event.items() if key not in _LEFT_OUT}
    return {
        "time": event.get("time"),
        "level": event.get("level"),
        "event": event.get("event"),
        "fields": {key: value for key, value in fields.items() if value is not None},
    }


def _short(key: str, value: object) -> object:
    if isinstance(value, dict | list):
        value = str(value)
    if not isinstance(value, str):
        return value
    if key == "accessor":
        return lease_hash(value)
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return (
        text
        if len(text) <= _LONGEST_TEXT
        else f"{text[: _LONGEST_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
