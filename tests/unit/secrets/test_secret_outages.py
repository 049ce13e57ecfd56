"""What outages of every kind cost: nothing while something is valid, and 3 s after their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from yarl import URL

from leasekeeper.errors import VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.transport import Reply
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, World


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


@pytest.mark.parametrize(
    ("lost", "within_s"),
    [("auth/approle/login", 7), ("sys/internal/ui/mounts/", 12), ("database/creds/", 12)],
)
async def test_what_was_lost_in_a_hole_too_short_to_be_noticed_is_asked_again(
    lost: str, within_s: float
) -> None:
    vault = FakeVault()
    vault.latency_s = 0.2
    world = World(vault)
    async with world.running(CREDS):
        await world.until(lambda: any(lost in path for _, _, path in vault.requests), within_s=5)
        vault.black_hole = True
        await asyncio.sleep(0.3)
        vault.black_hole = False
        await world.until(lambda: works(world), within_s=within_s)
        assert vault.count("GET", "sys/health") >= 1


async def test_a_lost_poll_of_a_static_role_does_not_hide_its_rotation() -> None:
    vault, role = FakeVault(), SecretRequest.read("database/static-creds/app")
    vault.static_roles["app"] = {"password": "a", "last_vault_rotation": "r1", "ttl": 60}
    world = World(vault)
    async with world.running(role):
        await asyncio.sleep(59.9)
        vault.black_hole = True
        await asyncio.sleep(0.3)
        vault.black_hole = False
        vault.static_roles["app"] = {"password": "b", "last_vault_rotation": "r2", "ttl": 60}
        await asyncio.sleep(3.5)
        snapshot = world.store.snapshot(role)

    assert snapshot is not None
    assert snapshot.response.data is not None
    assert snapshot.response.data["password"] == "b"


async def test_a_login_sent_just_before_the_return_is_not_waited_for() -> None:
    vault = FakeVault()
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(10)
        vault.black_hole = True
        await asyncio.sleep(200)
        logins = vault.count("POST", "auth/approle/login")
        await world.until(lambda: vault.count("POST", "auth/approle/login") > logins, within_s=100)
        vault.black_hole = False
        await world.until(lambda: works(world), within_s=5)


async def test_a_value_that_really_takes_long_is_waited_for() -> None:
    class SlowVault(FakeVault):
        async def _exchange(self, method: str, url: URL, *args: Any, **more: Any) -> Reply:
            await asyncio.sleep(15 if url.path.startswith("/v1/database/") else 0)
            return await super()._exchange(method, url, *args, **more)

    world = World(SlowVault())
    async with world.running(CREDS):
        await world.until(lambda: works(world), within_s=30)


async def test_after_a_suspension_everything_is_looked_at_at_once() -> None:
    vault = FakeVault()
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 3600, 7200, 7200
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(100)
        world.suspend(200)
        await asyncio.sleep(5.5)
        snapshot = world.store.snapshot(CREDS)
        assert snapshot is not None
        left = world.store.end_of(snapshot) - now()
        assert left == pytest.approx(3600 - 300, abs=10)
        assert vault.count("PUT", "sys/leases/lookup") >= 4

        world.suspend(86_400)
        await world.until(lambda: works(world), within_s=7)


async def _read_after_outage(seed: int, *, probe: str) -> float:
    """Return when KV was read after an outage during which its time came."""
    vault = FakeVault()
    vault.kv2["product"] = {"a": "b"}
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 36_000, 72_000, 72_000
    seconds = {"static_secret_render_interval": "100s"}
    world = World(vault, seed=seed, probe={"interval": probe}, secrets=seconds)
    read = ("GET", "secret/data/product")
    async with world.running(KV, CREDS):
        await asyncio.sleep(150)
        vault.down = True
        await asyncio.sleep(110)
        vault.down = False
        began, before = now(), vault.count(*read)
        await world.until(lambda: vault.count(*read) > before, within_s=120)
        return now() - began


async def test_a_reading_put_off_by_an_outage_waits_for_no_more_than_its_interval() -> None:
    """A fleet would otherwise read in seconds what it reads in an interval."""
    waits = [await _read_after_outage(seed, probe="4s") for seed in range(8)]

    assert max(waits) <= 102.01
    assert max(waits) > 60


async def test_a_reading_that_failed_in_an_outage_is_made_up_for_within_half_a_minute() -> None:
    waits = [await _read_after_outage(seed, probe="0") for seed in range(12)]

    assert max(waits) <= 45.01


async def _read_after_change_by_hand(seed: int) -> float:
    """Return how long after an outage a static role is read whose password was changed in it."""
    vault, role = FakeVault(), SecretRequest.read("database/static-creds/app")
    vault.static_roles["app"] = {"password": "a", "last_vault_rotation": "r1", "ttl": 36_000}
    seconds = {"static_secret_render_interval": "10s"}
    world = World(vault, seed=seed, probe={"interval": "4s"}, secrets=seconds)
    async with world.running(role):
        await asyncio.sleep(60)
        vault.down = True
        await asyncio.sleep(60)
        vault.static_roles["app"] |= {"password": "b", "last_vault_rotation": "r2"}
        vault.down = False
        began = now()
        await world.until(lambda: world.seen[-1][0] > began, within_s=1000)
        return now() - began


async def test_a_password_changed_by_hand_in_an_outage_is_read_within_its_interval() -> None:
    """It was put off by up to five minutes, like what has an end of its own."""
    waits = [await _read_after_change_by_hand(seed) for seed in range(8)]

    assert max(waits) <= 13


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_asked_for_in_an_outage_is_not_put_off_like_what_was_planned(
    seed: int,
) -> None:
    vault = FakeVault()
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, seed=seed, probe={"interval": "4s"})
    async with world.running(KV):
        await asyncio.sleep(10)
        vault.down = True
        world.client.reachability.doubt(VaultUnavailable("down"))
        await world.until(lambda: not world.client.reachability.up, within_s=5)
        keeper = world.store.keepers[KV]
        assert keeper.refresh() == "read"
        world.store.wake(keeper)
        await asyncio.sleep(60)
        vault.down = False
        before = vault.count("GET", "secret/data/product")
        await world.until(lambda: vault.count("GET", "secret/data/product") > before, within_s=33)
