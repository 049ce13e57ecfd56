"""Doing many things when they are due, with one timer and a bounded number at a time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, NoReturn, Protocol

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
        """Name of the task of a step that has to wait."""
        ...

    def step(self) -> float | Coroutine[Any, Any, float]:
        """Do what is due and return the loop time of the next step; ``math.inf`` for never.

        The part of it that has to wait is returned as a coroutine, and becomes a task. (So a step
        may be an ``async def``.)
        """
        ...


@dataclass(slots=True)
class _Entry:
    job: Job
    due: float = math.inf
    running: bool = False
    version: int = field(default=0)  # heap entries of an older version are stale
    ended: asyncio.Event | None = None  # somebody waits until a job that is forgotten has ended


class Floor:
    """For steps that compute, of all schedules that share it: one has it at a time.

    When it has been used for *turn_s* seconds of *clock*, everybody else gets the event loop. A
    way around the loop costs as much as a short step.
    """

    def __init__(self, *, turn_s: float = 0.001, clock: Callable[[], float] = perf_counter) -> None:
        self._turn_s = turn_s
        self._clock = clock
        self._turn_ends_at = -math.inf
        self._lock = asyncio.Lock()

    async def give(self, step: Callable[[], None]) -> None:
        """Call *step*, in its turn."""
        async with self._lock:
            step()
            if self._clock() >= self._turn_ends_at:
                await asyncio.sleep(0)
                self._turn_ends_at = self._clock() + self._turn_s


class Schedule:
    """Runs the steps of many jobs: a heap and one timer serve thousands of them.

    A job never runs twice at the same time; waking a running job runs it once more. At most
    *concurrency* steps run at a time, not counting those that have taken longer than
    `SLOW_STEP_S`: what hangs holds nobody else up. A step that raises is a bug: *nursery* reports
    it and the job is tried again after a minute, because a secret that nobody cares for would run
    out.

    Steps that wait are tasks of *nursery*, and its owner ends them. For steps that take their time
    without waiting there is a *floor*.
    """

    def __init__(self, nursery: Nursery, *, concurrency: int, floor: Floor | None = None) -> None:
        self._nursery = nursery
        self._floor = floor
        self._entries: dict[Job, _Entry] = {}
        self._heap: list[tuple[float, int, int, _Entry]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._places = Turnstile(places=concurrency, slow_s=SLOW_STEP_S)

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
            if self._heap[0][-1] is entry:
                self._changed.set()

    async def run(self) -> NoReturn:
        """Begin the steps of every job when they are due. Never returns."""
        while True:
            entry = self._pop_due()
            if entry is None:
                await self._wait()
                continue
            entry.running, entry.due = True, math.inf
            place = await self._places.take()
            if self._floor is None:
                self._begin(entry, place)
            else:
                await self._floor.give(partial(self._begin, entry, place))

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
        """Return when the next job is due, or another is the next."""
        self._changed.clear()
        timer = None
        if self._heap:
            loop = asyncio.get_running_loop()
            timer = loop.call_at(self._heap[0][0], self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _begin(self, entry: _Entry, place: Place) -> None:
        try:
            step = entry.job.step()
        except Exception as error:  # noqa: BLE001 - the other jobs go on
            self._nursery.on_error(entry.job.name, error)
            step = now() + _AFTER_A_BUG_S
        if isinstance(step, Coroutine):
            task = self._nursery.start(entry.job.name, step)
            task.add_done_callback(partial(self._waited, entry, place))
        else:
            self._end(entry, place, step)

    def _waited(self, entry: _Entry, place: Place, task: asyncio.Task[float]) -> None:
        failed = task.cancelled() or task.exception() is not None
        self._end(entry, place, now() + _AFTER_A_BUG_S if failed else task.result())

    def _end(self, entry: _Entry, place: Place, due: float) -> None:
        place.give_back()
        entry.running = False
        # Whatever woke the job during its step is remembered in entry.due.
        self._push(entry, min(due, entry.due))
        if entry.ended is not None:
            entry.ended.set()
