"""Answers that cost too much to be made for everybody who asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WINDOW_S = 0.5
SHARE = 0.1


class Spared(Generic[T]):
    """Made anew for everybody who asks, until that has taken a tenth of half a second.

    For the rest of it the last answer is given again: whoever asks thousands of times a second
    must not keep a lease from being renewed.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._began = -1.0
        self._spent_s = 0.0
        self._last: tuple[T] | None = None

    def get(self) -> T:
        """Return the answer, at most half a second old."""
        at = time.monotonic()
        if at - self._began >= WINDOW_S:
            self._began, self._spent_s, self._last = at, 0.0, None
        if self._last is None or self._spent_s < WINDOW_S * SHARE:
            self._last = (self._make(),)
            self._spent_s += time.monotonic() - at
        return self._last[0]
