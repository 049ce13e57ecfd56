"""Starting tasks, watching them, and ending them together.

Root tasks never return. They are started in one place, by name; the first that fails ends
the process. Everything shorter runs in a `TaskGroup` of its owner or in a `Nursery`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NoReturn

RootTask = Callable[[], Awaitable[NoReturn]]


class RootTaskReturned(RuntimeError):
    """A root task came to an end, which only a bug can bring about."""


class _StopRequested(Exception):
    pass


async def run_root_tasks(roots: Mapping[str, RootTask], *, stop: asyncio.Event) -> None:
    """Run every root task until one fails or *stop* is set.

    Returns only after a requested stop, when every task has ended. The first failure cancels the
    rest and propagates inside an `ExceptionGroup`.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise_on(stop), name="stop watcher")
            for name, run in roots.items():
                group.create_task(_eternal(name, run), name=name)
    except* _StopRequested:
        pass


async def _raise_on(stop: asyncio.Event) -> NoReturn:
    await stop.wait()
    raise _StopRequested


async def _eternal(name: str, run: RootTask) -> NoReturn:
    await run()
    msg = f"root task {name!r} returned"
    raise RootTaskReturned(msg)


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do *work*, or cancel it when *stop* is set; whether it was done. Its errors propagate."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work, name="work")
    stopping = loop.create_task(stop.wait(), name="stop watcher")
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait((working, stopping))
    if working.cancelled():
        return False
    working.result()
    return True


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of *works* is done, and cancel the others. What fails propagates."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work, name="one of several") for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()


class Nursery:
    """Owns short tasks that outlive the call that starts them; `close` ends them all.

    A task that fails with an unexpected error is a bug: *on_error* is called with its name and
    the error, and the other tasks go on.
    """

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.on_error = on_error

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start *coroutine* as a task called *name* and keep it until it ends."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.on_error(task.get_name(), error)

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Give the tasks *grace_s* seconds to end by themselves, then cancel them and wait."""
        if self._tasks and grace_s > 0:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
