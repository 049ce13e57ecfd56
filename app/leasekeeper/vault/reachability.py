"""Whether Vault can be reached: asked by one task on behalf of everyone who waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from leasekeeper.errors import VaultUnavailable
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.telemetry.events import log

# While Vault is away, one small request asks whether it is back: first after half a second, then
# more and more rarely. Who is about to lose something asks every second, who has time leaves the
# way to others: 10,000 tasks that ask every second are a storm, and all come back in the same one.
_SOONEST_S, _HASTY_S = 0.5, 1.4
# After an outage, what had failed is spread over this much, or less where little is left. What has
# only been put off has more time: a fleet would do in seconds what it has not done for an hour.
SPREAD_S, LEISURE_S = 30.0, 300.0
_SHORTEST_SPREAD_S = 0.5
# This part of what is left may pass before it is done.
_PART = 1 / 20
# Questions that may wait for an answer at the same time: in a black hole none is ever answered,
# so the next does not wait for the one before.
_MOST_AT_A_TIME = 5


def spread_s(left_s: float, longest_s: float = SPREAD_S) -> float:
    """Return within how many seconds after an outage to do what is overdue, each at random.

    *left_s* says for how long the value concerned still works; 0 or less when it does not.
    """
    return max(min(left_s * _PART, longest_s), _SHORTEST_SPREAD_S)


class Reachability:
    """Remembers whether Vault answers; wakes those who wait for its return.

    A request that gets no answer only raises a doubt: a database that hangs behind one path must
    not make everybody else wait. `watch` then asks *ask* whether Vault serves at all, and only
    when it does not, Vault counts as away.

    *patience_s* tells how long a pause between questions may become; set by whoever knows.
    """

    def __init__(self, ask: Callable[[], Awaitable[bool]], rng: random.Random) -> None:
        self._ask = ask
        self._rng = rng
        self._up = asyncio.Event()
        self._up.set()
        self._asking = asyncio.Event()
        self._doubt: VaultUnavailable | None = None
        self.error: VaultUnavailable | None = None
        """Why Vault counts as away; None while it does not."""
        self._attempt = 0
        self._since = 0.0
        self._listeners: list[Callable[[], None]] = []
        self.patience_s: Callable[[], float] = lambda: 0.0

    @property
    def up(self) -> bool:
        """Whether the newest answer, or its absence, says that Vault can be reached."""
        return self._up.is_set()

    @property
    def since(self) -> float:
        """Loop time of the last change."""
        return self._since

    def on_return(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever Vault comes back."""
        self._listeners.append(listener)

    def doubt(self, error: VaultUnavailable) -> None:
        """Note that one request got no answer."""
        if self._doubt is None:
            self._doubt = error
            self._asking.set()

    def seen(self) -> None:
        """Note that Vault answered."""
        self._doubt = None
        self._asking.clear()
        if not self.up:
            log.info("vault.reachable_again", after_s=round(now() - self._since, 1))
            self._since = now()
            self.error = None
            self._up.set()
            for listener in self._listeners:
                listener()

    async def wait(self) -> None:
        """Return when Vault can be reached."""
        await self._up.wait()

    async def watch(self) -> NoReturn:
        """Ask, while there is doubt, whether Vault can be reached. Never returns."""
        asked: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._asking.wait()
                if self._doubt is not None and len(asked) < _MOST_AT_A_TIME:
                    task = group.create_task(self._find_out(self._doubt), name="vault question")
                    asked.add(task)
                    task.add_done_callback(asked.discard)
                await asyncio.sleep(self._pause())
                self._attempt = 0 if self.up else self._attempt + 1

    def _pause(self) -> float:
        longest = max(self.patience_s(), _HASTY_S)
        return Backoff(minimum_s=_SOONEST_S, maximum_s=longest).delay(self._attempt, self._rng)

    async def _find_out(self, doubt: VaultUnavailable) -> None:
        if await self._ask():
            self.seen()
        elif self._doubt is doubt:  # else the answer comes too late to say anything
            self._lost(doubt)

    def _lost(self, error: VaultUnavailable) -> None:
        if self.up:
            log.warning("vault.unreachable", error=error.message, hint=error.hint, code=error.code)
            self._since = now()
            self.error = error
            self._up.clear()
