"""Backoff, root tasks and short tasks."""

from __future__ import annotations

import asyncio
from random import Random
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.tasks import Nursery, RootTaskReturned, run_root_tasks


@given(attempt=st.integers(0, 10**6), seed=st.integers(0, 2**32))
def test_a_delay_is_between_half_the_step_and_the_step(attempt: int, seed: int) -> None:
    delay = Backoff(minimum_s=1, maximum_s=60).delay(attempt, Random(seed))

    step = min(60.0, 2.0 ** min(attempt, 10))
    assert step / 2 <= delay <= step


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1)])
def test_a_backoff_that_makes_no_sense_cannot_be_built(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(minimum_s=low, maximum_s=high)


async def forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def test_the_first_root_task_that_fails_ends_all() -> None:
    async def fails() -> NoReturn:
        await asyncio.sleep(5)
        raise KeyError("boom")

    with pytest.raises(ExceptionGroup) as caught:
        await run_root_tasks({"a": forever, "b": fails}, stop=asyncio.Event())

    assert isinstance(caught.value.exceptions[0], KeyError)


async def test_a_root_task_that_returns_is_a_bug_with_its_name() -> None:
    async def returns() -> None:
        return

    with pytest.raises(ExceptionGroup) as caught:
        await run_root_tasks({"short": returns}, stop=asyncio.Event())  # type: ignore[dict-item]

    assert isinstance(caught.value.exceptions[0], RootTaskReturned)
    assert "short" in str(caught.value.exceptions[0])


async def test_a_requested_stop_ends_every_root_task_quietly() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(3, stop.set)

    await run_root_tasks({"a": forever, "b": forever}, stop=stop)

    assert asyncio.get_running_loop().time() == 3


async def test_short_tasks_get_their_grace_and_are_cancelled_then() -> None:
    ended: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            ended.append(name)
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise

    nursery = Nursery(lambda _name, _error: None)
    nursery.start("quick", work("quick", 1))
    nursery.start("slow", work("slow", 100))
    await nursery.close(grace_s=5)

    assert ended == ["quick", "slow cancelled"]
    assert len(nursery) == 0


async def test_a_short_task_that_fails_is_reported_with_its_name() -> None:
    heard: list[str] = []

    async def fails() -> None:
        raise KeyError

    nursery = Nursery(lambda name, _error: heard.append(name))
    nursery.start("broken", fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert heard == ["broken"]
    await nursery.close()
