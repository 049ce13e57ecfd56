"""Two clocks: the loop's, which never jumps, and the wall's, which people read."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime


def now() -> float:
    """Return the running loop's time in seconds: monotonic, and virtual in unit tests."""
    return asyncio.get_running_loop().time()


# Timers may fire this much early: event loops round to their clock's resolution, and a task that
# finds itself a hair too early would spin until the time has come.
EARLY_S = 0.001


def due(at: float) -> bool:
    """Whether loop time *at* has come."""
    return at <= now() + EARLY_S


def wall_time(at: float) -> datetime | None:
    """Return the UTC wall time of loop time *at*, or None when no calendar has it."""
    if math.isinf(at):
        return None
    try:
        return datetime.fromtimestamp(time.time() + at - now(), tz=UTC)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return None


def iso(at: float) -> str | None:
    """Return loop time *at* as ``2026-01-31T12:00:00Z``, or None as `wall_time`."""
    wall = wall_time(at)
    return None if wall is None else wall.strftime("%Y-%m-%dT%H:%M:%SZ")
