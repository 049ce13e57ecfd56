"""Waiting for what sends no events, such as files and other people's processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from leasekeeper.runtime.clock import now


async def until(holds: Callable[[], bool], *, period_s: float) -> None:
    """Return as soon as *holds* says so; it is asked once per period."""
    while not holds():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(period_s)


async def every(period_s: float, work: Callable[[], Awaitable[None]]) -> NoReturn:
    """Do *work* once per period, at once again when it took longer."""
    while True:
        due = now() + period_s
        await work()
        await asyncio.sleep(max(0.0, due - now()))
