"""A secret's life against a Vault in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from leasekeeper.runtime.clock import EARLY_S, now
from leasekeeper.secrets.request import SecretRequest
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, World


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


async def test_the_newest_credential_is_valid_at_every_moment_of_half_an_hour(
    vault: FakeVault,
) -> None:
    """Renewals, rotations at lease max TTL and hand-overs at token max TTL leave no gap (P3)."""
    vault.token_ttl, vault.token_max_ttl = 20, 45
    vault.lease_ttl, vault.lease_max_ttl = 10, 30
    world = World(vault)
    refused: list[tuple[float, str]] = []

    def use() -> None:
        if not vault.valid(world.user()):
            refused.append((now(), world.user()))

    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        await world.watch(1800, use)

    assert refused == []
    # A token lives 45 s and a lease at most 30 s, so half an hour needs about 45 logins.
    assert 40 <= vault.count("POST", "auth/approle/login") <= 65
    assert 60 <= len(vault.leases) <= 130


async def test_the_old_credential_outlives_its_successors_publication(vault: FakeVault) -> None:
    """Make before break: when a new value appears, the old one still works for a while."""
    vault.lease_ttl, vault.lease_max_ttl = 60, 200
    world = World(vault, secrets={"overlap": "15s"})
    overlaps: list[float] = []
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        for _ in range(5):
            old, count = world.user(), len(world.seen)
            await world.until(lambda count=count: len(world.seen) > count, within_s=300)
            began = now()
            await world.until(lambda old=old: not vault.valid(old), within_s=300)
            overlaps.append(now() - began)

    assert min(overlaps) >= 15


async def test_one_request_serves_everybody_who_asks_the_same(vault: FakeVault) -> None:
    world = World(vault)
    async with world.running(CREDS):
        world.store.require([SecretRequest.read("/database/creds/product/")] * 50)
        await world.until(lambda: bool(world.seen), within_s=5)
        await asyncio.sleep(5)

    assert vault.count("GET", "database/creds/product") == 1
    assert vault.count("POST", "auth/approle/login") == 1


async def test_a_token_hand_over_does_not_re_read_static_secrets(vault: FakeVault) -> None:
    vault.token_ttl, vault.token_max_ttl = 20, 45
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "0s"})
    async with world.running(KV):
        await asyncio.sleep(200)

    assert vault.count("POST", "auth/approle/login") >= 4
    assert vault.count("GET", "secret/data/product") == 1


async def test_readings_again_share_moments_that_are_spread_over_the_interval(
    vault: FakeVault,
) -> None:
    vault.kv2 = {f"s{n}": {"a": "b"} for n in range(200)}
    world = World(vault, secrets={"static_secret_render_interval": "5s"})
    async with world.running(*(SecretRequest.read(f"secret/s{n}") for n in range(200))):
        await asyncio.sleep(1)
        began, first = now(), len(vault.requests)
        await asyncio.sleep(20)
    read = [at for at, _, path in vault.requests[first:] if path.startswith("secret/data/")]

    assert len(read) >= 200 * 20 // 5
    assert max((at + EARLY_S) % 0.05 for at in read) < 0.02
    per_second = Counter(int(at - began) for at in read)
    assert min(per_second[second] for second in range(20)) >= 20


async def test_a_revoked_lease_is_healed_within_the_probe_interval(vault: FakeVault) -> None:
    vault.lease_ttl, vault.lease_max_ttl = 3600, 36000
    vault.token_ttl = 7200
    world = World(vault, probe={"interval": "10s"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        for _ in range(3):
            await asyncio.sleep(100)
            vault.revoke_lease(vault.live_leases()[0])
            began = now()
            await world.until(lambda: vault.valid(world.user()), within_s=60)
            assert now() - began <= 11

    assert len(vault.leases) == 4


async def test_a_revoked_token_costs_one_login_and_one_mint_per_secret(vault: FakeVault) -> None:
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 7200, 3600, 36000
    requests = [SecretRequest.read(f"database/creds/role{n}") for n in range(20)]
    world = World(vault, probe={"interval": "10s"})
    async with world.running(*requests):
        await world.until(lambda: len(world.seen) == 20, within_s=5)
        await asyncio.sleep(100)
        vault.revoke_token(vault.live_tokens()[0].name)
        began = now()
        await world.until(lambda: all(vault.valid(world.user(r)) for r in requests), within_s=60)
        assert now() - began <= 11

    assert vault.count("POST", "auth/approle/login") == 2
    assert len(vault.leases) == 40


async def test_twenty_refusals_at_once_cause_one_lookup_and_no_login(vault: FakeVault) -> None:
    """A policy error names path and capability; it is not mended by logging in again."""
    vault.denied_paths.add("database/creds/")
    requests = [SecretRequest.read(f"database/creds/role{n}") for n in range(20)]
    world = World(vault, probe={"interval": "0"})
    async with world.running(*requests):
        await asyncio.sleep(3)
        error = world.store.keepers[requests[0]].error

    assert vault.count("POST", "auth/approle/login") == 1
    assert vault.count("GET", "auth/token/lookup-self") == 1
    assert error is not None
    assert "allow read on 'database/creds/role0'" in str(error)


async def test_a_refused_renewal_is_one_mint_at_the_end_of_the_lease(vault: FakeVault) -> None:
    """403 on sys/leases/renew with a good token: the lease is used to near its end, no flood."""
    vault.lease_ttl, vault.lease_max_ttl = 60, 600
    vault.denied_paths.add("sys/leases/renew")
    world = World(vault, probe={"interval": "0"})
    refused = []
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        await world.watch(300, lambda: None if vault.valid(world.user()) else refused.append(now()))

    assert refused == []
    assert len(vault.leases) <= 9  # one for each 30 s of overlap, at the most: never a flood


async def test_a_lease_that_vault_forgets_at_once_does_not_become_a_mint_loop(
    vault: FakeVault,
) -> None:
    vault.fail("sys/leases/", 400, errors=("lease not found",))
    vault.lease_ttl = 30
    world = World(vault, probe={"interval": "5s"})
    async with world.running(CREDS):
        await asyncio.sleep(300)

    assert len(vault.leases) <= 16


async def test_an_outage_drops_nothing_and_is_over_within_three_seconds(vault: FakeVault) -> None:
    vault.lease_ttl, vault.lease_max_ttl = 30, 3600
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "5s"})
    async with world.running(CREDS, KV):
        await world.until(lambda: len(world.seen) == 2, within_s=5)
        vault.down = True
        before = len(vault.requests)
        await asyncio.sleep(60)
        during = len(vault.requests) - before
        vault.down = False
        began = now()
        await world.until(lambda: vault.valid(world.user()), within_s=30)
        assert now() - began <= 3
        assert world.store.snapshot(KV) is not None

    assert during <= 90


async def test_an_outage_shorter_than_the_lease_costs_no_new_credential(vault: FakeVault) -> None:
    vault.lease_ttl, vault.lease_max_ttl = 60, 3600
    world = World(vault)
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.down = True
        await asyncio.sleep(45)
        vault.down = False
        await asyncio.sleep(60)

    assert len(vault.leases) == 1
    assert vault.count("POST", "auth/approle/login") == 1


async def test_a_missing_secret_is_asked_for_again_and_the_last_value_is_kept(
    vault: FakeVault,
) -> None:
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "10s"})
    async with world.running(KV):
        await world.until(lambda: bool(world.seen), within_s=5)
        del vault.kv2["product"]
        await asyncio.sleep(60)
        snapshot, error = world.store.snapshot(KV), world.store.keepers[KV].error
        vault.kv2["product"] = {"a": "c"}
        await world.until(lambda: len(world.seen) == 2, within_s=61)

    assert snapshot is not None
    assert snapshot.response.data == {"data": {"a": "b"}, "metadata": {"version": "1"}}
    assert "no secret exists at secret/data/product" in str(error)


async def test_a_value_that_did_not_change_is_not_a_new_generation(vault: FakeVault) -> None:
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "1s"})
    async with world.running(KV):
        await asyncio.sleep(100)

    assert len(world.seen) == 1
    assert vault.count("GET", "secret/data/product") >= 90


async def test_kv_v1_is_read_at_the_static_interval_like_everything_else(vault: FakeVault) -> None:
    """KV v1 answers with the mount's default TTL as lease_duration, which is not a lease."""
    vault.kv1["app"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "10s"})
    async with world.running(SecretRequest.read("kv/app")):
        await asyncio.sleep(100)

    assert vault.count("GET", "kv/app") >= 10


async def test_a_failed_kv_detection_is_retried_and_never_guessed(vault: FakeVault) -> None:
    vault.kv2["product"] = {"a": "b"}
    vault.fail("sys/internal/ui/mounts/", 500, times=3)
    world = World(vault)
    async with world.running(KV):
        await world.until(lambda: bool(world.seen), within_s=60)

    assert vault.count("GET", "secret/product") == 0
    assert vault.count("GET", "secret/data/product") == 1


async def test_a_mount_is_detected_once_for_all_its_paths(vault: FakeVault) -> None:
    requests = [SecretRequest.read(f"secret/app{n}") for n in range(30)]
    for n in range(30):
        vault.kv2[f"app{n}"] = {"n": n}
    world = World(vault)
    async with world.running(*requests):
        await world.until(lambda: len(world.seen) == 30, within_s=10)

    assert vault.count("GET", "sys/internal/ui/mounts/") == 1


async def test_a_static_role_is_published_when_it_rotated_and_not_before(vault: FakeVault) -> None:
    """Identity is last_vault_rotation: a ttl that is reset early does not fool us (C3)."""
    request = SecretRequest.read("database/static-creds/app")
    period, late = 60.0, 3.0
    world = World(vault)

    async def rotate() -> None:
        number, due = 0, now()
        while True:
            vault.static_roles["app"] = {
                "username": "app",
                "password": f"canary-{number}",
                "last_vault_rotation": f"rotation {number}",
                "ttl": 0,
            }
            number += 1
            changed = now()
            while now() < due + period:
                vault.static_roles["app"]["ttl"] = max(round(due + period - now()), 0)
                await asyncio.sleep(0.25)
            # The schedule resets the ttl at once, the password follows late.
            vault.static_roles["app"]["ttl"] = round(period)
            due += period
            await asyncio.sleep(late)
            changes.append(changed)

    changes: list[float] = []
    rotating = asyncio.get_running_loop().create_task(rotate())
    async with world.running(request):
        stale = 0.0
        end = now() + 600
        while now() < end:
            await asyncio.sleep(0.05)
            snapshot = world.store.snapshot(request)
            if snapshot is None:
                continue
            assert snapshot.response.data is not None
            if snapshot.response.data["password"] != vault.static_roles["app"]["password"]:
                stale += 0.05
    rotating.cancel()

    assert len(world.seen) == len(changes) + 1
    assert stale / len(changes) <= 0.25


async def test_a_batch_token_is_replaced_ahead_of_its_end(vault: FakeVault) -> None:
    vault.token_kind, vault.token_ttl = "batch", 60
    vault.lease_ttl, vault.lease_max_ttl = 3600, 36000
    world = World(vault, probe={"interval": "0"})
    refused = []
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        await world.watch(600, lambda: None if vault.valid(world.user()) else refused.append(now()))

    assert refused == []
    assert vault.count("POST", "auth/token/renew-self") == 0


async def test_a_periodic_token_is_renewed_for_ever(vault: FakeVault) -> None:
    vault.token_period = 30
    vault.lease_ttl, vault.lease_max_ttl = 600, 360000
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(3600)

    assert vault.count("POST", "auth/approle/login") == 1
    assert len(vault.leases) == 1


async def test_no_credential_is_minted_on_a_dying_token(vault: FakeVault) -> None:
    """Near token max TTL a lease that is due is made under a fresh token (C2)."""
    vault.token_ttl, vault.token_max_ttl = 100, 250
    vault.lease_ttl, vault.lease_max_ttl, vault.lease_renewable = 90, 90, False
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await asyncio.sleep(2000)

    short = [lease for lease in vault.leases.values() if lease.token.expires - lease.created < 45]
    assert short == []


async def test_losing_the_login_does_not_lose_the_live_token(vault: FakeVault) -> None:
    """While logging in again fails, the old token is used to its last second."""
    vault.token_ttl, vault.token_max_ttl = 60, 120
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "1s"})
    async with world.running(KV):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.fail("auth/approle/login", 500)
        await asyncio.sleep(112)
        read_until = max(at for at, _, path in vault.requests if path == "secret/data/product")

    assert read_until > 110
