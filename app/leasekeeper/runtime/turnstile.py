"""A bounded number at a time, at a bounded rate, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from leasekeeper.runtime.clock import EARLY_S, now


class Place:
    """A place in use. As a context manager it is given back at the end of the block."""

    __slots__ = ("_give_back", "_timer")

    def __init__(self, give_back: Callable[[], None], slow_s: float) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self._timer = asyncio.get_running_loop().call_later(slow_s, self.give_back)

    def give_back(self) -> None:
        """Let the next caller in; nothing happens if it is in already."""
        self._timer.cancel()
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def __enter__(self) -> None:
        return

    def __exit__(self, *_error: object) -> None:
        self.give_back()


class Turnstile:
    """Lets *places* callers through at a time, and *rate* a second after a first *burst*.

    A caller that takes longer than *slow_s* seconds gives its place to the next, so that a few
    that hang never hold up the rest. *rate* 0 is no limit.
    """

    def __init__(self, *, places: int, slow_s: float, rate: float = 0.0, burst: int = 1) -> None:
        self._free = places
        self._slow_s = slow_s
        self._rate = rate
        self._burst = self._saved = float(burst)
        self._saved_at = 0.0
        self._order = itertools.count()
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._refill: asyncio.TimerHandle | None = None

    async def take(self, urgency: int = 0) -> Place:
        """Wait for a place; a lower *urgency* goes first. The caller gives the place back."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (urgency, next(self._order), turn))
        self._admit()
        try:
            if not turn.done():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            turn.cancel()
            raise
        return Place(self._give_back, self._slow_s)

    def _give_back(self) -> None:
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._free > 0:
            _, _, turn = self._queue[0]
            if not turn.done():  # else whoever waited has been cancelled
                if (wait_s := self._take_from_savings()) > 0:
                    self._admit_in(wait_s)
                    return
                self._free -= 1
                turn.set_result(None)
            heapq.heappop(self._queue)

    def _take_from_savings(self) -> float:
        """Take one turn off what the rate allows; return how long to wait if there is none."""
        if self._rate == 0:
            return 0.0
        at = now()
        self._saved = min(self._burst, self._saved + (at - self._saved_at) * self._rate)
        self._saved_at = at
        if self._saved < 1:
            return (1 - self._saved) / self._rate
        self._saved -= 1
        return 0.0

    def _admit_in(self, seconds: float) -> None:
        if self._refill is None:
            loop = asyncio.get_running_loop()
            self._refill = loop.call_later(seconds + EARLY_S, self._refilled)

    def _refilled(self) -> None:
        self._refill = None
        self._admit()
