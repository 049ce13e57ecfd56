"""Noticing that time has passed, or been changed, without the loop's clock knowing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from leasekeeper.runtime.clock import now

# Every second this were two thirds of the wake-ups of an idle process.
_LOOK_EVERY_S = 5.0
# The two clocks are read one after the other, and drift apart a little.
_SHORTEST_PAUSE_S = 0.5
# A wall clock that is set by less than this is being disciplined, not changed.
_JUMP_S = 30.0


def asleep_s() -> float:
    """Return for how many seconds the machine has been suspended since its boot.

    The loop's clock stands still meanwhile, but leases go on. Always 0 where nobody counts.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.clock_gettime(clock) - time.monotonic()


class ClockWatch:
    """Tells listeners how many seconds the loop's clock has missed.

    That is 0 when the wall clock alone has jumped: a machine that was restored from an image may
    show its pause only so, and then nothing can be said but that everything should be looked at.
    """

    def __init__(
        self, asleep: Callable[[], float] = asleep_s, wall: Callable[[], float] = time.time
    ) -> None:
        self._asleep = asleep
        self._wall = wall
        self._listeners: list[Callable[[float], None]] = []
        self._last: tuple[float, float] | None = None

    def on_change(self, listener: Callable[[float], None]) -> None:
        """Call *listener* with the seconds missed, after a suspension or a jump."""
        self._listeners.append(listener)

    def look(self) -> None:
        """Compare the clocks and tell what has changed since the last look.

        Called before a request is sent, too: what a suspension has made older must not be mistaken
        for what is granted after it.
        """
        asleep, ahead = self._asleep(), self._wall() - now()
        if self._last is None:
            self._last = (asleep, ahead)
            return
        missed, jumped = asleep - self._last[0], ahead - self._last[1]
        if missed < _SHORTEST_PAUSE_S and abs(jumped) < _JUMP_S:
            return
        self._last = (asleep, ahead)
        for listener in self._listeners:
            listener(missed if missed >= _SHORTEST_PAUSE_S else 0.0)

    async def watch(self) -> NoReturn:
        """Compare the clocks every five seconds. Never returns."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)
