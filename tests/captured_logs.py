"""What the program logs, for tests to look at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leasekeeper.telemetry.events import Fields, log

LoggedEvent = dict[str, Any]


@contextmanager
def capture_logs() -> Iterator[list[LoggedEvent]]:
    """Collect events, with `event` and `log_level` among their fields, instead of writing them."""
    captured: list[LoggedEvent] = []

    def take(level: int, event: str, fields: Fields) -> None:
        name = logging.getLevelName(level).lower()
        captured.append({**fields, "event": event, "log_level": name})

    before, log.take = log.take, take
    try:
        yield captured
    finally:
        log.take = before
