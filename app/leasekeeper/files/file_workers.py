"""Blocking file functions in threads with a deadline, so that a hung mount blocks nothing.

Not asyncio's executor: its threads are joined at the interpreter's exit, so one `fsync` that
hangs on a hard NFS mount would keep the process from ending, and it is one pool for everything,
so four hung calls on one mount would stop the files of all others.

What takes `Steps` shares the waiting for directories: one `fsync` serves all that have renamed a
file there by the time that a thread comes to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from leasekeeper.files.directory import Steps, Unsynced, make_durable

T = TypeVar("T")
_GoOn = Callable[[OSError | None], None]

THREADS_PER_MOUNT = 4
"""Enough to overlap the round trips of a network file system; each idle thread costs memory."""


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
        return await self.run_steps(
            mount, _at_once(function, args), deadline_s=deadline_s, strand=strand
        )

    async def run_steps(
        self, mount: str, steps: Steps[T], *, deadline_s: float | None, strand: Hashable
    ) -> T:
        """Return what *steps* come to, or raise what they raise; otherwise like `run`."""
        job = self._submit(mount, steps, strand)
        try:
            async with asyncio.timeout(deadline_s):
                outcome: T = await job.outcome
                return outcome
        finally:
            job.steps = None

    def submit(
        self, mount: str, function: Callable[..., object], *args: Any, strand: Hashable = None
    ) -> None:
        """Run *function* some time after the strand's earlier jobs; nobody learns the outcome."""
        if not self._closed:
            job = self._submit(mount, _at_once(function, args), strand)
            job.outcome.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _submit(self, mount: str, steps: Steps[Any], strand: Hashable) -> _Job:
        if self._closed:
            msg = "the file workers are closed"
            raise RuntimeError(msg)
        pool = self._pools.get(mount)
        if pool is None:
            pool = self._pools[mount] = _Pool(mount, self._limit)
        job = _Job(steps, strand)
        pool.add(job)
        return job

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


def _at_once(function: Callable[..., T], args: tuple[Any, ...]) -> Steps[T]:
    yield from ()
    return function(*args)


class _Job:
    """Steps to be taken, and the future that their caller waits for."""

    __slots__ = ("outcome", "steps", "strand")

    def __init__(self, steps: Steps[Any], strand: Hashable) -> None:
        self.steps: Steps[Any] | None = steps
        """None when it has begun, or when its caller has gone: they may hold a secret."""
        self.strand = object() if strand is None else strand
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Pool:
    """The threads of one mount, which take what is ready from one queue.

    The event loop says which jobs are ready, and is told in one go of all that are done by then.
    """

    def __init__(self, mount: str, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._mount = mount
        self._limit = limit
        self._strands: dict[Hashable, deque[_Job]] = {}
        """The job of each that is ready or running, and those behind it."""
        self._ready: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._unsynced: dict[str, list[tuple[Unsynced, _GoOn]]] = {}
        self._lock = threading.Lock()  # of the line above
        self._done: deque[tuple[_Job, Any, BaseException | None]] = deque()
        self._told = False
        self._threads: list[threading.Thread] = []
        self._ended = False
        self.drained = asyncio.Event()
        self.drained.set()

    def add(self, job: _Job) -> None:
        strand = self._strands.get(job.strand)
        if strand is None:
            self._hire()
            self._strands[job.strand] = deque([job])
            self.drained.clear()
            self._ready.put(partial(self._begin, job))
            return
        # A file that is tried again every minute must not pile up while its mount hangs.
        while len(strand) > 1 and strand[-1].steps is None:
            strand.pop()
        strand.append(job)

    def _hire(self) -> None:
        """Have one thread more, if those there are could all be busy.

        :raises RuntimeError: if the operating system gives none, and there is none.
        """
        if len(self._threads) >= min(len(self._strands) + 1, self._limit):
            return
        name = f"files {self._mount} {len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def _listen(self) -> None:
        self._told = False  # first this: what is done from here on is told anew
        while self._done:
            job, result, error = self._done.popleft()
            self._next_of(job.strand)
            if job.outcome.done():
                continue
            if error is None:
                job.outcome.set_result(result)
            else:
                job.outcome.set_exception(error)
        if not self._strands:
            self.drained.set()

    def _next_of(self, name: Hashable) -> None:
        strand = self._strands[name]
        strand.popleft()
        if strand:
            self._ready.put(partial(self._begin, strand[0]))
        else:
            del self._strands[name]

    def end(self) -> None:
        for strand in self._strands.values():
            for job in strand:
                if job.steps is not None:
                    job.outcome.cancel()
                    job.steps = None
        self._ended = True
        self._ready.put(None)
        if self.drained.is_set():  # so none is stuck
            for thread in self._threads:
                thread.join()

    # -- in the threads -------------------------------------------------------------------------

    def _serve(self) -> None:
        # What is under way brings up more: files go on when their directory is durable.
        while not (self._ended and self._ready.empty()):
            work = self._ready.get()
            if work is not None:
                work()
            del work  # an idle thread must not keep a secret alive
        self._ready.put(None)  # wakes the next thread

    def _begin(self, job: _Job) -> None:
        steps, job.steps = job.steps, None
        if steps is None:
            self._tell(job)
        else:
            self._go_on(job, steps)

    def _go_on(self, job: _Job, steps: Steps[Any], error: OSError | None = None) -> None:
        try:
            place = next(steps) if error is None else steps.throw(error)
        except StopIteration as end:
            self._tell(job, end.value)
        except BaseException as why:  # noqa: BLE001 - it is raised again where it is awaited
            self._tell(job, error=why)
        else:
            self._park(place, partial(self._go_on, job, steps))

    def _park(self, place: Unsynced, go_on: _GoOn) -> None:
        with self._lock:
            parked = self._unsynced.setdefault(place.path, [])
            parked.append((place, go_on))
            first = len(parked) == 1
        if first:
            # Behind what is ready now, which may come to rename something there as well.
            self._ready.put(partial(self._sync, place.path))

    def _sync(self, path: str) -> None:
        with self._lock:
            parked = self._unsynced.pop(path)
        error = make_durable([place.fd for place, _ in parked])
        for _, go_on in parked:
            self._ready.put(partial(go_on, error))

    def _tell(self, job: _Job, result: Any = None, error: BaseException | None = None) -> None:
        self._done.append((job, result, error))
        if self._told:
            return
        self._told = True
        # When the loop has been closed meanwhile, nobody waits for this any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._listen)
