"""A loop whose time jumps to the next timer: an hour takes as long as what happens in it."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: there are no sockets, and a timeout is time that passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: there is no timer")
        self.time += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The stock loop with another clock. Looptime does the same for tests, with more care and less
    speed."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self._jump.time
