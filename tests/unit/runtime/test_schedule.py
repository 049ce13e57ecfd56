"""One timer for many jobs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import groupby

import pytest

from leasekeeper.runtime.schedule import Floor, Schedule
from leasekeeper.runtime.tasks import Nursery


class Job:
    def __init__(self, name: str, steps: list[float], takes_s: float = 0.0) -> None:
        self.name = name
        self.ran: list[float] = []
        self._steps = iter(steps)
        self._takes_s = takes_s
        self.running = 0
        self.most = 0

    async def step(self) -> float:
        self.running += 1
        self.most = max(self.most, self.running)
        self.ran.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._takes_s)
        self.running -= 1
        return next(self._steps, math.inf)


@asynccontextmanager
async def running(
    concurrency: int = 8, on_error: Callable[[str, BaseException], None] | None = None
) -> AsyncIterator[Schedule]:
    errors: list[BaseException] = []
    nursery = Nursery(on_error or (lambda _n, e: errors.append(e)))
    schedule = Schedule(nursery, concurrency=concurrency)
    task = asyncio.get_running_loop().create_task(schedule.run())
    yield schedule
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await nursery.close()
    assert errors == []


async def test_a_job_runs_when_its_step_said_so() -> None:
    job = Job("a", [10.0, 25.0])
    async with running() as schedule:
        schedule.wake(job)
        await asyncio.sleep(100)

    assert job.ran == [0, 10, 25]


async def test_an_earlier_wake_wins_and_a_later_one_does_nothing() -> None:
    job = Job("a", [50.0, math.inf])
    async with running() as schedule:
        schedule.wake(job)
        await asyncio.sleep(1)
        schedule.wake(job, at=70.0)
        schedule.wake(job, at=20.0)
        await asyncio.sleep(100)

    assert job.ran == [0, 20]


async def test_a_job_that_is_woken_while_it_runs_runs_once_more() -> None:
    job = Job("a", [math.inf, math.inf], takes_s=5)
    async with running() as schedule:
        schedule.wake(job)
        await asyncio.sleep(1)
        for _ in range(10):
            schedule.wake(job)
        await asyncio.sleep(100)

    assert job.ran == [0, 5]
    assert job.most == 1


async def test_only_so_many_steps_run_at_a_time() -> None:
    jobs = [Job(str(n), [], takes_s=1) for n in range(10)]
    async with running(concurrency=3) as schedule:
        for job in jobs:
            schedule.wake(job)
        await asyncio.sleep(2.5)
        started = sum(len(job.ran) for job in jobs)
        await asyncio.sleep(10)

    assert started == 9
    assert all(len(job.ran) == 1 for job in jobs)


async def test_steps_that_hang_hold_nobody_else_up() -> None:
    hanging = [Job(f"hanging {n}", [], takes_s=10_000) for n in range(50)]
    good = Job("good", [])
    async with running(concurrency=32) as schedule:
        for job in (*hanging, good):
            schedule.wake(job)
        await asyncio.sleep(2.1)

    assert len(good.ran) == 1


async def test_a_step_that_raises_is_reported_and_does_not_stop_the_others() -> None:
    class Broken(Job):
        async def step(self) -> float:
            raise ZeroDivisionError

    heard: list[str] = []
    good = Job("good", [])
    async with running(on_error=lambda name, _error: heard.append(name)) as schedule:
        schedule.wake(Broken("broken", []))
        schedule.wake(good)
        await asyncio.sleep(1)

    assert heard == ["broken"]
    assert good.ran == [0]


async def test_five_thousand_jobs_need_one_timer() -> None:
    jobs = [Job(str(n), []) for n in range(5000)]
    async with running(concurrency=100) as schedule:
        for n, job in enumerate(jobs):
            schedule.wake(job, at=100.0 + n % 7)
        await asyncio.sleep(50)
        tasks = len(asyncio.all_tasks())
        await asyncio.sleep(100)

    assert tasks <= 3
    assert all(len(job.ran) == 1 for job in jobs)


async def test_a_job_that_is_forgotten_ends_its_step_and_runs_no_more() -> None:
    job, other = Job("a", [1.0, 2.0, 20.0], takes_s=5), Job("b", [30.0])
    async with running() as schedule:
        schedule.wake(job)
        schedule.wake(other)
        await asyncio.sleep(1)
        await schedule.forget(job)
        forgotten_at = asyncio.get_running_loop().time()
        await asyncio.sleep(100)

    assert forgotten_at == 5
    assert job.ran == [0]
    assert other.ran == [0, 30]


async def test_a_forgotten_job_can_be_woken_again() -> None:
    job = Job("a", [50.0, math.inf])
    async with running() as schedule:
        schedule.wake(job)
        await asyncio.sleep(1)
        await schedule.forget(job)
        await schedule.forget(job)
        schedule.wake(job, at=10.0)
        await asyncio.sleep(100)

    assert job.ran == [0, 10]


class Quick:
    """A job whose step need not wait."""

    def __init__(self, name: str, log: list[str], *due: float) -> None:
        self.name = name
        self._log = log
        self._due = iter(due)

    def step(self) -> float:
        self._log.append(self.name)
        return next(self._due, math.inf)


async def test_a_step_that_need_not_wait_is_done_without_a_task() -> None:
    log: list[str] = []
    async with running() as schedule:
        before = asyncio.all_tasks()
        schedule.wake(Quick("a", log, 10.0))
        while not log:
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        await asyncio.sleep(100)

    assert log == ["a", "a"]


async def test_a_step_that_raises_without_waiting_is_reported_and_tried_again() -> None:
    class Broken(Quick):
        def step(self) -> float:
            super().step()
            raise ZeroDivisionError

    heard: list[str] = []
    log: list[str] = []
    async with running(on_error=lambda name, _error: heard.append(name)) as schedule:
        schedule.wake(Broken("broken", log))
        schedule.wake(Quick("good", log))
        await asyncio.sleep(1)
        assert log == ["broken", "good"]
        await asyncio.sleep(60)

    assert heard == ["broken", "broken"]


@pytest.mark.parametrize(
    ("sharers", "step_s", "at_a_time"),
    [(1, 0.0004, 3), (1, 0.001, 1), (3, 0.0004, 1), (3, 0.001, 1), (3, 5.0, 1)],
)
async def test_those_who_share_a_floor_leave_the_event_loop_to_others(
    sharers: int, step_s: float, at_a_time: int
) -> None:
    """Or 2,000 renders in a row would keep the health check waiting."""
    log: list[str] = []
    floor = Floor(turn_s=0.001, clock=lambda: step_s * sum(each != "others" for each in log))
    nursery = Nursery(lambda _name, _error: None)
    schedules = [Schedule(nursery, concurrency=8, floor=floor) for _ in range(sharers)]
    for n, schedule in enumerate(schedules):
        for _ in range(10):
            schedule.wake(Quick(f"step of {n}", log))
    tasks = [asyncio.get_running_loop().create_task(each.run()) for each in schedules]
    while sum(entry.startswith("step") for entry in log) < 10 * sharers:
        log.append("others")
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    runs = [
        len(list(run)) for name, run in groupby(log, lambda entry: entry == "others") if not name
    ]
    assert max(runs) == at_a_time


async def test_a_step_goes_on_when_the_schedule_ends_until_its_owner_ends_it() -> None:
    nursery = Nursery(lambda _name, _error: None)
    schedule = Schedule(nursery, concurrency=8)
    job = Job("a", [], takes_s=5)
    task = asyncio.get_running_loop().create_task(schedule.run())
    schedule.wake(job)
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert job.running == 1

    await nursery.close(grace_s=10)

    assert job.running == 0
    assert asyncio.get_running_loop().time() == 5
