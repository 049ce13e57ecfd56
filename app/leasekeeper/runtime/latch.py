"""A latch: released once, never closed again."""

from __future__ import annotations

import asyncio


class Latch:
    """A one-way event; readiness is a latch, so once ready the process stays ready."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def released(self) -> bool:
        """Whether the latch has been released."""
        return self._event.is_set()

    def release(self) -> None:
        """Release everyone who waits, now and later."""
        self._event.set()

    async def wait(self) -> None:
        """Return as soon as the latch is released."""
        await self._event.wait()
