"""When a request that nobody answers is noticed, and when it ends."""

from __future__ import annotations

import asyncio

import pytest

from leasekeeper.errors import VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.vault.transport import Manner
from tests.fakes.fake_vault import FakeVault


class Wire(FakeVault):
    """Answers nothing, and notes when it is told that a request is slow."""

    def __init__(self) -> None:
        super().__init__()
        self.black_hole = True
        self.began = now()
        self.slow_after: list[float] = []
        self.on_slow = lambda: self.slow_after.append(self.passed())

    def passed(self) -> float:
        return round(now() - self.began, 2)

    async def ask(self, manner: Manner, *, after_s: float = 0.0) -> tuple[float, bool]:
        """Return when the request failed, and whether it was interrupted."""
        await asyncio.sleep(after_s)
        with pytest.raises(VaultUnavailable) as caught:
            await self.send("GET", "/v1/x", {}, manner=manner)
        return self.passed(), caught.value.interrupted


async def test_every_request_ends_at_its_own_limit() -> None:
    wire = Wire()

    ends = await asyncio.gather(
        wire.ask(Manner()),
        wire.ask(Manner(limit_s=5.0)),
        wire.ask(Manner(limit_s=0.5)),
        wire.ask(Manner(limit_s=2.0), after_s=1),
        wire.ask(Manner(limit_s=3.0), after_s=1.5),
        wire.ask(Manner(limit_s=5.0, alone=True)),
    )

    assert ends == [(30, False), (5, False), (0.5, False), (3, False), (4.5, False), (5, False)]


async def test_each_request_that_is_slow_is_noticed_once_after_two_seconds() -> None:
    wire = Wire()

    await asyncio.gather(
        wire.ask(Manner()),
        wire.ask(Manner(), after_s=0.5),
        wire.ask(Manner(limit_s=1.0), after_s=1),
        wire.ask(Manner(alone=True), after_s=1),
        wire.ask(Manner(limit_s=3.0), after_s=20),
    )

    assert wire.slow_after == [2, 2.5, 22]


async def test_requests_that_hang_are_interrupted_and_new_ones_once_they_would_be_slow() -> None:
    wire = Wire()
    asyncio.get_running_loop().call_later(10, wire.interrupt)

    ends = await asyncio.gather(
        wire.ask(Manner()),
        wire.ask(Manner(), after_s=9),
        wire.ask(Manner(limit_s=1.0), after_s=9.5),
        wire.ask(Manner(limit_s=5.0), after_s=10.5),
        wire.ask(Manner(alone=True)),
    )

    assert ends == [(10, True), (11, True), (10.5, False), (15.5, False), (30, False)]
    assert wire.slow_after == [2, 11, 12.5]
