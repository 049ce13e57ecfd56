"""Who goes through the turnstile, and when."""

from __future__ import annotations

import asyncio

import pytest

from leasekeeper.runtime.clock import now
from leasekeeper.runtime.turnstile import Turnstile

Passed = list[tuple[str, float]]


async def go(turnstile: Turnstile, passed: Passed, name: str, urgency: int, takes_s: float) -> None:
    with await turnstile.take(urgency):
        passed.append((name, round(now(), 2)))
        await asyncio.sleep(takes_s)


async def rush(turnstile: Turnstile, *callers: tuple[str, int], takes_s: float = 0.0) -> Passed:
    """Let all *callers* (name and urgency) come at once; return who got in when."""
    passed: Passed = []
    began = now()
    async with asyncio.TaskGroup() as group:
        for name, urgency in callers:
            group.create_task(go(turnstile, passed, name, urgency, takes_s))
    return [(name, round(at - began, 2)) for name, at in passed]


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    turnstile = Turnstile(places=100, slow_s=2, rate=2, burst=3)

    passed = await rush(turnstile, *((str(n), 0) for n in range(7)))

    assert [at for _, at in passed] == pytest.approx([0, 0, 0, 0.5, 1, 1.5, 2], abs=0.02)
    assert [name for name, _ in passed] == [str(n) for n in range(7)]


async def test_what_was_not_used_is_saved_as_far_as_a_burst() -> None:
    turnstile = Turnstile(places=100, slow_s=2, rate=2, burst=3)
    await rush(turnstile, *((str(n), 0) for n in range(7)))
    await asyncio.sleep(3600)

    passed = await rush(turnstile, *((str(n), 0) for n in range(5)))

    assert [at for _, at in passed] == pytest.approx([0, 0, 0, 0.5, 1], abs=0.02)


async def test_no_rate_is_no_limit() -> None:
    passed = await rush(Turnstile(places=1, slow_s=2), *((str(n), 0) for n in range(500)))

    assert {at for _, at in passed} == {0.0}


async def test_the_most_urgent_goes_first_and_equals_in_their_order() -> None:
    turnstile = Turnstile(places=1, slow_s=2)

    passed = await rush(
        turnstile, ("first", 3), ("a", 3), ("b", 1), ("token", 0), ("c", 1), takes_s=1
    )

    assert passed == [("first", 0), ("token", 1), ("b", 2), ("c", 3), ("a", 4)]


async def test_who_comes_late_and_is_urgent_does_not_wait_for_the_others_rate() -> None:
    turnstile = Turnstile(places=10, slow_s=2, rate=1, burst=1)
    passed: Passed = []
    began = now()
    async with asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(go(turnstile, passed, f"probe {n}", 3, 0))
        await asyncio.sleep(1.5)
        group.create_task(go(turnstile, passed, "token", 0, 0))

    assert [name for name, _ in passed[:4]] == ["probe 0", "probe 1", "token", "probe 2"]
    assert passed[2][1] - began == pytest.approx(2, abs=0.02)


async def test_who_hangs_gives_its_place_to_the_next() -> None:
    turnstile = Turnstile(places=1, slow_s=2)

    passed = await rush(turnstile, ("hangs", 0), ("waits", 0), takes_s=60)

    assert passed == [("hangs", 0), ("waits", 2)]
    assert await rush(turnstile, ("a", 0), ("b", 0), takes_s=1) == [("a", 0), ("b", 1)]


async def test_who_is_cancelled_while_it_waits_takes_nothing_with_it() -> None:
    turnstile = Turnstile(places=1, slow_s=10, rate=1, burst=1)
    place = await turnstile.take()
    waiting = asyncio.get_running_loop().create_task(turnstile.take())
    await asyncio.sleep(0)
    waiting.cancel()
    place.give_back()
    await asyncio.sleep(1)

    assert await rush(turnstile, ("next", 0)) == [("next", 0)]
    assert waiting.cancelled()


async def test_who_has_been_slow_for_long_loses_its_place_to_whoever_comes() -> None:
    turnstile = Turnstile(places=1, slow_s=2)
    slow = await turnstile.take()
    await asyncio.sleep(60)

    assert await rush(turnstile, ("a", 0), ("b", 0), takes_s=1) == [("a", 0), ("b", 1)]
    slow.give_back()

    assert await rush(turnstile, ("c", 0), ("d", 0), takes_s=1) == [("c", 0), ("d", 1)]


async def test_a_place_that_comes_free_is_given_as_soon_as_the_rate_allows() -> None:
    turnstile = Turnstile(places=1, slow_s=60, rate=2, burst=1)

    passed = await rush(turnstile, ("a", 0), ("b", 0), ("c", 0), takes_s=0.1)

    assert [at for _, at in passed] == pytest.approx([0, 0.5, 1], abs=0.02)
