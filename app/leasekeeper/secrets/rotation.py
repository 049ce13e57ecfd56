"""When to ask about a static role, whose password Vault changes by a plan of its own. Pure."""

from __future__ import annotations

import math

# Vault answers with whole seconds, so the rotation may come this much early.
EARLY_S = 0.6
# Vault's rotation queue is looked at every 5 s, so a rotation may be late by that and a little.
LATE_S = 10.0
# After the boundary: ask this often for as long as the rotation may be late, then more slowly.
POLL_S, SLOW_POLL_S = 0.1, 2.0


class RotationWatch:
    """Remembers when the present password of a static role is to be rotated.

    Times are loop times in seconds. The plan is read off ``ttl``, but not around the boundary:
    some servers start a new ``ttl`` before they have changed the password.
    """

    def __init__(self) -> None:
        self._boundary = math.inf

    def note(self, ttl_s: float, *, at: float, changed: bool) -> None:
        """Note an answer received at *at*; *changed* says that it brought a new password."""
        late = at - self._boundary
        rotating = -EARLY_S <= late < LATE_S
        overdue = late >= LATE_S and ttl_s <= EARLY_S  # the boundary is past, and still is
        if changed or not (rotating or overdue):
            self._boundary = at + max(ttl_s, 0.0)

    def aged(self, seconds: float) -> None:
        """Note that *seconds* have passed without the loop's clock."""
        self._boundary -= seconds

    def next_question(self, at: float, jitter: float) -> float:
        """Return when to ask again; *jitter* in [0, 1) spreads a poll by a fifth each way.

        Long before the boundary: at the boundary. From there on: a short poll.
        """
        wait = self._boundary - at - EARLY_S
        if wait > POLL_S:
            return at + wait
        poll = POLL_S if at - self._boundary < LATE_S else SLOW_POLL_S
        return at + poll * (0.8 + 0.4 * jitter)

    def valid_until(self, at: float) -> float:
        """Return the end of the password seen at *at*: it works until Vault rotates it."""
        return max(self._boundary, at) + LATE_S
