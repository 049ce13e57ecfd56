"""Whether Vault counts as away, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

import pytest

from leasekeeper.errors import VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.vault.reachability import Reachability
from tests.captured_logs import capture_logs

ERROR = VaultUnavailable("Vault at http://v did not answer", hint="look")


class Server:
    """Answers the question of health, and counts it."""

    def __init__(self) -> None:
        self.serves = True
        self.takes_s = 0.001
        self.asked: list[float] = []

    async def ask(self) -> bool:
        self.asked.append(now())
        await asyncio.sleep(self.takes_s)
        return self.serves


@contextlib.asynccontextmanager
async def watching(server: Server) -> AsyncIterator[Reachability]:
    reachability = Reachability(server.ask, Random(3))
    task = asyncio.get_running_loop().create_task(reachability.watch())
    try:
        yield reachability
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def server() -> Server:
    return Server()


async def test_nobody_is_asked_while_all_is_well(server: Server) -> None:
    async with watching(server) as reachability:
        for _ in range(100):
            await asyncio.sleep(10)
            reachability.seen()

    assert server.asked == []
    assert reachability.up


async def test_one_request_without_an_answer_makes_nobody_wait(server: Server) -> None:
    """A database that hangs behind one path is not an outage of Vault (P6)."""
    returns: list[float] = []
    async with watching(server) as reachability:
        reachability.on_return(lambda: returns.append(now()))
        with capture_logs() as logs:
            for _ in range(10):
                reachability.doubt(ERROR)
                async with asyncio.timeout(0):
                    await reachability.wait()
                await asyncio.sleep(30)

    assert len(server.asked) == 10
    assert returns == []
    assert logs == []


async def test_vault_is_away_when_its_health_does_not_answer_either(server: Server) -> None:
    server.serves = False
    async with watching(server) as reachability:
        with capture_logs() as logs:
            reachability.doubt(ERROR)
            await asyncio.sleep(0.01)

        assert not reachability.up
        assert [line["event"] for line in logs] == ["vault.unreachable"]
        assert (logs[0]["error"], logs[0]["hint"]) == (ERROR.message, "look")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await reachability.wait()


async def test_a_thousand_failures_ask_once(server: Server) -> None:
    server.serves = False
    async with watching(server) as reachability:
        for _ in range(1000):
            reachability.doubt(ERROR)
        await asyncio.sleep(0.1)

    assert len(server.asked) == 1


async def test_an_answer_to_anybody_ends_the_doubt(server: Server) -> None:
    """The health question may be the one that is slow."""
    server.serves, server.takes_s = False, 5
    async with watching(server) as reachability:
        reachability.doubt(ERROR)
        await asyncio.sleep(1)
        reachability.seen()
        await asyncio.sleep(60)

    assert reachability.up
    assert max(server.asked) <= 1


async def test_the_return_is_noticed_within_two_seconds_and_told_to_everybody(
    server: Server,
) -> None:
    server.serves = False
    returns: list[float] = []
    async with watching(server) as reachability:
        reachability.on_return(lambda: returns.append(now()))
        reachability.on_return(lambda: returns.append(now()))
        for wait_s in (0.3, 7, 600):
            reachability.doubt(ERROR)
            await asyncio.sleep(wait_s)
            server.serves = True
            began = now()
            with capture_logs() as logs:
                await reachability.wait()
            assert now() - began <= 2.01
            assert [line["event"] for line in logs] == ["vault.reachable_again"]
            assert logs[0]["after_s"] == pytest.approx(now() - began + wait_s, abs=0.1)
            await asyncio.sleep(20)
            server.serves = False

    assert len(returns) == 6


async def test_an_outage_of_an_hour_is_asked_about_moderately(server: Server) -> None:
    server.serves = False
    async with watching(server) as reachability:
        reachability.doubt(ERROR)
        await asyncio.sleep(3600)

    assert 1800 <= len(server.asked) <= 3700
    pauses = [b - a for a, b in zip(server.asked, server.asked[1:], strict=False)]
    assert min(pauses) >= 0.25
    assert max(pauses) <= 2.01


async def test_a_vault_that_comes_and_goes_is_not_asked_faster_and_faster(server: Server) -> None:
    async with watching(server) as reachability:
        for _ in range(30):
            server.serves = False
            reachability.doubt(ERROR)
            await asyncio.sleep(1)
            server.serves = True
            await reachability.wait()
        began = len(server.asked)
        server.serves = False
        reachability.doubt(ERROR)
        await asyncio.sleep(60)

    assert len(server.asked) - began <= 62


async def test_a_request_that_gets_through_is_a_return_as_well(server: Server) -> None:
    server.serves = False
    async with watching(server) as reachability:
        reachability.doubt(ERROR)
        await asyncio.sleep(100)
        asked = len(server.asked)
        reachability.seen()
        assert reachability.up
        await asyncio.sleep(100)

    assert len(server.asked) <= asked + 1
