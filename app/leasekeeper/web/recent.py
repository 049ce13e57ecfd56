"""The newest log events, for the status page: masked as they were written, and never many."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from leasekeeper.telemetry.audit import lease_hash

KEPT = 60
_LONGEST_TEXT = 400
# A traceback is for the log; `level` is kept apart from the fields, like `time` and `event`.
_LEFT_OUT = ("exception", "time", "level", "event")


class RecentEvents:
    """Remembers the newest events of level info and above. Any thread may note one."""

    def __init__(self, kept: int = KEPT) -> None:
        self._events: deque[Mapping[str, Any]] = deque(maxlen=kept)

    def note(self, event: Mapping[str, Any]) -> None:
        """Remember *event*, whose fields have been masked."""
        if event.get("level") != "debug":
            self._events.append(dict(event))

    def newest_first(self) -> list[dict[str, Any]]:
        """Return what is remembered as ``time``, ``level``, ``event`` and ``fields``."""
        return [_shown(event) for event in reversed(tuple(self._events))]

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()


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


recent = RecentEvents()
"""The process's newest events: global, as the log is."""
