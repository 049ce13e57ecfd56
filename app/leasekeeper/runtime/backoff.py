"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter above a floor.

    The n-th delay, n from 0, is drawn evenly from ``[c/2, c]`` with
    ``c = min(maximum_s, minimum_s * 2**n)``: half is kept so that a retry is never immediate,
    half is random so that a fleet does not return in step (AWS Architecture Blog, "Exponential
    Backoff And Jitter", the variant called *equal jitter*).

    :raises ValueError: if the bounds are not ``0 < minimum_s <= maximum_s``.
    """

    minimum_s: float
    maximum_s: float

    def __post_init__(self) -> None:
        if not 0 < self.minimum_s <= self.maximum_s:
            msg = f"a backoff needs 0 < minimum <= maximum, not {self.minimum_s}, {self.maximum_s}"
            raise ValueError(msg)

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Return the pause, in seconds, after failed attempt number *attempt* (from 0)."""
        # 2.0**64 times any sensible minimum is beyond any sensible maximum.
        ceiling = min(self.maximum_s, self.minimum_s * 2.0 ** min(attempt, 64))
        return ceiling * (0.5 + 0.5 * rng.random())
