"""What outages of every kind cost: nothing while something is valid, and 3 s after their end."""

from __future__ import annotations

import asyncio

import pytest

from leasekeeper.runtime.clock import now
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, World


def works(world: World) -> bool:
    return world.store.snapshot(CREDS) is not None and world.vault.valid(world.user())


@pytest.mark.parametrize("outage_s", [5, 28, 60, 61.3, 600])
@pytest.mark.parametrize("kind", ["down", "black_hole"])
@pytest.mark.parametrize("token_ttl", [20, 3600])
async def test_whatever_has_ended_is_new_within_three_seconds_of_the_return(
    outage_s: float, kind: str, token_ttl: float
) -> None:
    vault = FakeVault()
    vault.token_ttl = token_ttl
    world = World(vault, seed=round(outage_s))
    async with world.running(CREDS):
        await asyncio.sleep(43.7)
        setattr(vault, kind, True)
        began = now()
        while works(world) and now() - began < outage_s:
            await asyncio.sleep(0.1)
        assert now() - began >= min(outage_s, 9), "what was valid has been dropped"
        await asyncio.sleep(max(began + outage_s - now(), 0))
        setattr(vault, kind, False)
        await world.until(lambda: works(world), within_s=3)


async def test_after_a_suspension_everything_is_looked_at_at_once() -> None:
    vault = FakeVault()
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 3600, 7200, 7200
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(100)
        world.suspend(1800)
        await asyncio.sleep(1.5)
        snapshot = world.store.snapshot(CREDS)
        assert snapshot is not None
        left = world.store.end_of(snapshot) - now()
        assert left == pytest.approx(3600 - 1900, abs=5)
        assert vault.count("PUT", "sys/leases/lookup") >= 4

        world.suspend(86_400)
        await world.until(lambda: works(world), within_s=3)
