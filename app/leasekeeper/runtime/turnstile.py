"""A bounded number at a time, at a bounded rate, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from leasekeeper.runtime.clock import EARLY_S, now


class Place:
    """A place in use. As a context manager it is given back at the end of the block."""

    __slots__ = ("_turnstile", "slow_at")

    def __init__(self, turnstile: Turnstile, slow_at: float) -> None:
        self._turnstile = turnstile
        self.slow_at = slow_at
        """Loop time from which on it is the next caller's."""

    def give_back(self) -> None:
        """Let the next caller in; nothing happens if it is in already."""
        self._turnstile.leave(self)

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
        self._places = places
        self._taken: dict[Place, None] = {}  # the one that has been taken for longest is the first
        self._slow_s = slow_s
        self._rate = rate
        self._burst = self._saved = float(burst)
        self._saved_at = 0.0
        self._order = itertools.count()
        self._queue: list[tuple[int, int, asyncio.Future[Place]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, urgency: int = 0) -> Place:
        """Wait for a place; a lower *urgency* goes first. The caller gives the place back."""
        if not self._queue and self._wait_s() <= 0:
            return self._let_in()
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (urgency, next(self._order), turn))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                turn.result().give_back()
            turn.cancel()
            raise

    def leave(self, place: Place) -> None:
        """Take *place* back, if its holder has not been slow and lost it."""
        if place in self._taken:
            del self._taken[place]
            self._admit()

    def _admit(self) -> None:
        while self._queue:
            _, _, turn = self._queue[0]
            if not turn.done():  # else whoever waited has been cancelled
                if (wait_s := self._wait_s()) > 0:
                    self._look_again(now() + wait_s + EARLY_S)
                    return
                turn.set_result(self._let_in())
            heapq.heappop(self._queue)

    def _let_in(self) -> Place:
        self._saved -= 1
        place = Place(self, now() + self._slow_s)
        self._taken[place] = None
        return place

    def _wait_s(self) -> float:
        """Return in how many seconds the next may come in, as far as is known; 0 for now."""
        if len(self._taken) == self._places:
            oldest = next(iter(self._taken))
            if oldest.slow_at > now():
                return oldest.slow_at - now()
            del self._taken[oldest]
        if self._rate == 0:
            return 0.0
        at = now()
        self._saved = min(self._burst, self._saved + (at - self._saved_at) * self._rate)
        self._saved_at = at
        return max((1 - self._saved) / self._rate, 0.0)

    def _look_again(self, at: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        self._admit()
