"""A loop whose time jumps to the next timer: an hour takes as long as what happens in it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any


class _Call:
    """A callback that waits for its turn, and all of a handle that asyncio asks for."""

    __slots__ = ("_args", "_callback", "_context", "is_off")

    def __init__(self, callback: Callable[..., object], args: Any, context: Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self.is_off = False

    def run(self) -> None:
        """Do it."""
        self._context.run(self._callback, *self._args)

    def cancel(self) -> None:
        """Let it be."""
        self.is_off = True


class VirtualLoop(asyncio.SelectorEventLoop):
    """The stock loop with another clock, and without all that needs a socket, a signal or a thread.

    Looptime does the same for tests, with more care and less speed. A callback that raises ends
    the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._next: deque[_Call] = deque()
        self._later: list[tuple[float, int, _Call]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self._time

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        call = _Call(callback, args, context)
        self._next.append(call)
        return call

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> _Call:
        call = _Call(callback, args, context)
        heapq.heappush(self._later, (when, next(self._order), call))
        return call

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> _Call:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        while self._next:
            call = self._next.popleft()
            if not call.is_off:
                call.run()
            if self._stopping:
                return
        while self._later:
            when, _, call = heapq.heappop(self._later)
            if not call.is_off:
                self._time = max(self._time, when)
                self._next.append(call)
                return
        raise RuntimeError("nothing will ever happen: there is no timer")
