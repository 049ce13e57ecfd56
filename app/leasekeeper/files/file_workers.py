"""Blocking file functions in threads with a deadline, so that a hung mount blocks nothing.

Not asyncio's executor: its threads are joined at the interpreter's exit, so one `fsync` that
hangs on a hard NFS mount would keep the process from ending, and it is one pool for everything,
so four hung calls on one mount would stop the files of all others.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

THREADS_PER_MOUNT = 4
"""Enough to overlap the round trips of a network file system; each idle thread costs memory."""


@dataclass(slots=True, eq=False)
class _Job:
    # asyncio's debug mode prints what it is handed, and these may carry a secret.
    function: Callable[..., Any] = field(repr=False)
    args: tuple[Any, ...] = field(repr=False)
    strand: Hashable
    outcome: asyncio.Future[Any] = field(repr=False)


class FileWorkers:
    """A few daemon threads per mount, started by the first job that needs one.

    Jobs of one *strand* (a destination) run one after the other in the order of their submission.
    A stuck job therefore holds back its own strand, and, when all threads of a mount are stuck,
    its own mount; nothing else. All methods belong to the event loop's thread. `close` ends the
    threads; a thread that is stuck in the kernel is left behind and does not hinder the exit.
    """

    def __init__(self, *, threads_per_mount: int = THREADS_PER_MOUNT) -> None:
        self._limit = threads_per_mount
        self._pools: dict[str, _Pool] = {}
        self._closed = False

    async def run(
        self,
        mount: str,
        function: Callable[..., T],
        *args: Any,
        deadline_s: float | None,
        strand: Hashable = None,
    ) -> T:
        """Return what *function* returns, or raise what it raises.

        A job whose caller has gone, by the deadline or by cancellation, is never started; when it
        runs already it runs to its end, and its result is dropped.

        :raises TimeoutError: if there is no result *deadline_s* seconds from now. None is for
            callers that have a deadline of their own.
        """
        async with asyncio.timeout(deadline_s):
            outcome: T = await self._submit(mount, function, args, strand)
            return outcome

    def submit(
        self, mount: str, function: Callable[..., object], *args: Any, strand: Hashable = None
    ) -> None:
        """Run *function* some time after the strand's earlier jobs; nobody learns the outcome."""
        if not self._closed:
            outcome = self._submit(mount, function, args, strand)
            outcome.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _submit(
        self, mount: str, function: Callable[..., Any], args: tuple[Any, ...], strand: Hashable
    ) -> asyncio.Future[Any]:
        if self._closed:
            msg = "the file workers are closed"
            raise RuntimeError(msg)
        pool = self._pools.get(mount)
        if pool is None:
            pool = self._pools[mount] = _Pool(mount, self._limit)
        outcome = asyncio.get_running_loop().create_future()
        pool.add(_Job(function, args, object() if strand is None else strand, outcome))
        return outcome

    async def close(self, *, grace_s: float = 1.0) -> None:
        """Give all jobs *grace_s* seconds to end, then end every thread that is not stuck."""
        self._closed = True
        idle = [pool.drained.wait() for pool in self._pools.values()]
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*idle)
        except TimeoutError:
            pass
        for pool in self._pools.values():
            pool.end()


class _Pool:
    """The threads of one mount. Only the event loop hands out jobs, so there is no lock."""

    def __init__(self, mount: str, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._mount = mount
        self._limit = limit
        self._waiting: deque[_Job] = deque()
        self._busy: set[Hashable] = set()
        self._threads: list[_Thread] = []
        self._idle: list[_Thread] = []
        self.drained = asyncio.Event()
        self.drained.set()

    def add(self, job: _Job) -> None:
        # While the mount hangs, nothing else forgets what nobody waits for any more.
        self._waiting = deque(each for each in self._waiting if not each.outcome.done())
        self._waiting.append(job)
        self.drained.clear()
        self._dispatch()

    def _dispatch(self) -> None:
        held_back: deque[_Job] = deque()
        while self._waiting and (self._idle or len(self._threads) < self._limit):
            job = self._waiting.popleft()
            if job.outcome.done():
                continue
            if job.strand in self._busy:
                held_back.append(job)
                continue
            self._busy.add(job.strand)
            self._thread().inbox.put(job)
        self._waiting.extendleft(reversed(held_back))
        if not self._waiting and not self._busy:
            self.drained.set()

    def _thread(self) -> _Thread:
        if self._idle:
            return self._idle.pop()
        thread = _Thread(f"files {self._mount} {len(self._threads)}", self._report)
        self._threads.append(thread)
        return thread

    def _report(self, thread: _Thread, job: _Job, result: Any, error: BaseException | None) -> None:
        """Take a finished job; called in *thread*."""
        try:
            self._loop.call_soon_threadsafe(self._finished, thread, job, result, error)
        except RuntimeError:
            # The loop has been closed meanwhile, so nobody waits for this any more.
            return

    def _finished(
        self, thread: _Thread, job: _Job, result: Any, error: BaseException | None
    ) -> None:
        self._busy.discard(job.strand)
        self._idle.append(thread)
        if not job.outcome.done():
            if error is None:
                job.outcome.set_result(result)
            else:
                job.outcome.set_exception(error)
        self._dispatch()

    def end(self) -> None:
        for job in self._waiting:
            job.outcome.cancel()
        for thread in self._threads:
            thread.inbox.put(None)
        for thread in self._idle:
            thread.join()


class _Thread(threading.Thread):
    """Runs what comes into its inbox until that is None."""

    def __init__(
        self, name: str, report: Callable[[_Thread, _Job, Any, BaseException | None], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._report = report
        self.start()

    def run(self) -> None:
        while (job := self.inbox.get()) is not None:
            self._work(job)
            del job  # an idle thread must not keep a secret's bytes alive

    def _work(self, job: _Job) -> None:
        try:
            result = job.function(*job.args)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._report(self, job, None, error)
        else:
            self._report(self, job, result, None)
