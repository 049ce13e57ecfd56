"""Suspended machines and wall clocks that jump, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib

from leasekeeper.runtime.clock import now
from leasekeeper.runtime.clock_watch import ClockWatch, asleep_s


class Clocks:
    def __init__(self) -> None:
        self.asleep = 0.0
        self.ahead = 1_000_000.0

    def wall(self) -> float:
        return now() + self.ahead


async def heard(*changes: tuple[float, float]) -> list[float]:
    """Return what is told after each (seconds asleep, seconds that the wall clock moves)."""
    clocks, told = Clocks(), list[float]()
    watch = ClockWatch(lambda: clocks.asleep, clocks.wall)
    watch.on_change(told.append)
    task = asyncio.get_running_loop().create_task(watch.watch())
    await asyncio.sleep(100)
    for asleep, moved in changes:
        clocks.asleep += asleep
        clocks.ahead += moved
        await asyncio.sleep(5.1)
    await asyncio.sleep(100)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return told


async def test_a_suspension_is_told_within_five_seconds_and_once() -> None:
    assert await heard((600.0, 600.0), (5.0, 5.0)) == [600.0, 5.0]


async def test_whoever_looks_in_between_is_told_at_once() -> None:
    clocks, told = Clocks(), list[float]()
    watch = ClockWatch(lambda: clocks.asleep, clocks.wall)
    watch.on_change(told.append)
    watch.look()
    clocks.asleep += 40
    watch.look()
    watch.look()
    assert told == [40.0]


async def test_a_wall_clock_that_jumps_is_told_without_a_duration() -> None:
    assert await heard((0.0, 3600.0), (0.0, -3600.0)) == [0.0, 0.0]


async def test_a_clock_that_is_disciplined_is_nothing_to_tell() -> None:
    assert await heard((0.0, 2.0), (0.01, 0.5), (0.0, -3.0)) == []


def test_the_real_clocks_can_be_compared() -> None:
    assert asleep_s() > -0.5
