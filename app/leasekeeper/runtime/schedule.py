"""Doing many things when they are due, with one timer and a bounded number at a time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from leasekeeper.runtime.clock import due as has_come
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.runtime.turnstile import Place, Turnstile

_AFTER_A_BUG_S = 60.0
# A step that takes longer gives its place to the next.
SLOW_STEP_S = 2.0


class Job(Protocol):
    """Something that has a next step."""

    @property
    def name(self) -> str:
        """Name of the task that runs a step."""
        ...

    async def step(self) -> float:
        """Do what is due and return the loop time of the next step; ``math.inf`` for never."""
        ...


@dataclass(slots=True)
class _Entry:
    job: Job
    due: float = math.inf
    running: bool = False
    version: int = field(default=0)  # heap entries of an older version are stale
    ended: asyncio.Event | None = None  # somebody waits until a job that is forgotten has ended


class Schedule:
    """Runs the steps of many jobs: a heap and one timer serve thousands of them.

    A job never runs twice at the same time; waking a running job runs it once more. At most
    *concurrency* steps run at a time, not counting those that have taken longer than
    `SLOW_STEP_S`: what hangs holds nobody else up. A step that raises is a bug: *on_error* hears of
    it and the job is tried again after a minute, because a secret that nobody cares for would run
    out.
    """

    def __init__(self, *, concurrency: int, on_error: Callable[[str, BaseException], None]) -> None:
        self._entries: dict[Job, _Entry] = {}
        self._heap: list[tuple[float, int, int, _Entry]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._places = Turnstile(places=concurrency, slow_s=SLOW_STEP_S)
        self._nursery = Nursery(on_error)

    def wake(self, job: Job, *, at: float = -math.inf) -> None:
        """Run *job* at loop time *at*, or now, unless it is due earlier anyway."""
        entry = self._entries.get(job)
        if entry is None:
            entry = self._entries[job] = _Entry(job)
        if at < entry.due:
            self._push(entry, at)

    async def forget(self, job: Job) -> None:
        """Run *job* no more; returns when a step that is under way has ended."""
        entry = self._entries.pop(job, None)
        if entry is None:
            return
        entry.version += 1
        if entry.running:
            entry.ended = asyncio.Event()
            await entry.ended.wait()

    def _push(self, entry: _Entry, due: float) -> None:
        if self._entries.get(entry.job) is not entry:
            return  # it has been forgotten
        entry.due = due
        entry.version += 1
        if not entry.running and due < math.inf:
            heapq.heappush(self._heap, (due, next(self._order), entry.version, entry))
            self._changed.set()

    async def run(self) -> NoReturn:
        """Run every job when it is due. Never returns; cancellation ends the running steps."""
        try:
            while True:
                self._changed.clear()
                entry = self._pop_due()
                if entry is None:
                    await self._wait()
                    continue
                entry.running, entry.due = True, math.inf
                place = await self._places.take()
                self._nursery.start(entry.job.name, self._step(entry, place))
        finally:
            await self._nursery.close()

    def _pop_due(self) -> _Entry | None:
        while self._heap:
            due, _, version, entry = self._heap[0]
            if version != entry.version or entry.running:
                heapq.heappop(self._heap)
            elif has_come(due):
                heapq.heappop(self._heap)
                return entry
            else:
                return None
        return None

    async def _wait(self) -> None:
        timeout = None if not self._heap else max(self._heap[0][0] - now(), 0.0)
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _step(self, entry: _Entry, place: Place) -> None:
        due = now() + _AFTER_A_BUG_S
        try:
            due = await entry.job.step()
        finally:
            place.give_back()
            entry.running = False
            # Whatever woke the job during its step is remembered in entry.due.
            self._push(entry, min(due, entry.due))
            if entry.ended is not None:
                entry.ended.set()
