"""A restart costs no login and no new credential; what is doubtful is replaced, then revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.response import JsonNumber
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, Disk, World, wall

OTHER = SecretRequest.read("database/creds/other")
WRITE = SecretRequest.write("secret/product", {"n": "2"})


@pytest.fixture(autouse=True)
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("secrets.keeper", "secrets.plan", "tokens.keeper", "secrets.memory"):
        monkeypatch.setattr(f"leasekeeper.{module}.time", wall)


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 600, 300, 3000
    vault.kv2["product"] = {"n": 1, "id": 12345678901234567890}
    return vault


def logins(vault: FakeVault) -> int:
    return vault.count("POST", "auth/approle/login")


async def live(
    disk: Disk, vault: FakeVault, *requests: SecretRequest, seconds: float = 1.0, login: str = "a"
) -> World:
    """Run one process for a while and kill it: nothing is written at its end."""
    world = World(vault, memory=disk.remember(login))
    async with world.running(*requests):
        await asyncio.sleep(seconds)
    return world


async def test_five_restarts_cost_no_login_and_no_credential(vault: FakeVault) -> None:
    disk = Disk()
    users = {(await live(disk, vault, CREDS, OTHER, seconds=60)).user() for _ in range(6)}

    assert len(users) == 1
    assert logins(vault) == 1
    assert len(vault.live_leases()) == 2
    assert len(vault.live_tokens()) == 1


async def test_what_is_adopted_is_what_vault_sent_to_the_last_digit(vault: FakeVault) -> None:
    disk = Disk()
    first = await live(disk, vault, KV, CREDS)
    vault.down = True
    second = await live(disk, vault, KV, CREDS)

    for request in (KV, CREDS):
        before, after = first.store.snapshot(request), second.store.snapshot(request)
        assert before is not None
        assert after is not None
        assert before.response == after.response
    assert after.response.data is not None
    kv = second.store.snapshot(KV)
    assert kv is not None
    assert kv.response.data is not None
    assert isinstance(kv.response.data["data"]["id"], JsonNumber)


async def test_an_adopted_lease_is_renewed_and_rotated_like_any_other(vault: FakeVault) -> None:
    disk = Disk()
    vault.lease_max_ttl = 700
    await live(disk, vault, CREDS)
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=2)
        await world.watch(800, lambda: vault.valid(world.user()) or pytest.fail("expired"))

    assert vault.count("PUT", "sys/leases/renew") > 2
    assert vault.count("GET", CREDS.path) <= 4


async def test_without_vault_the_last_values_are_used_and_confirmed_at_its_return(
    vault: FakeVault,
) -> None:
    disk = Disk()
    first = await live(disk, vault, CREDS, KV, seconds=10)
    vault.down = True
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS, KV):
        await world.until(lambda: len(world.seen) == 2, within_s=10)
        assert world.user() == first.user()
        assert not world.tokens.proven
        vault.down = False
        await world.until(lambda: world.tokens.proven, within_s=6)
        await asyncio.sleep(30)

        assert vault.valid(world.user())
        assert world.user() == first.user()
        assert len(world.seen) == 2
    assert logins(vault) == 1


async def test_values_that_have_ended_meanwhile_are_not_used_without_vault(
    vault: FakeVault,
) -> None:
    disk = Disk()
    await live(disk, vault, CREDS)
    await asyncio.sleep(301)
    vault.down = True
    world = await live(disk, vault, CREDS, seconds=100)

    assert world.seen == []


async def _revoke_token(vault: FakeVault) -> None:
    vault.live_tokens()[0].revoked = True


async def _revoke_lease(vault: FakeVault) -> None:
    vault.revoke_lease(vault.live_leases()[0])


async def _wait_for_the_end(vault: FakeVault) -> None:
    await asyncio.sleep(601)


@pytest.mark.parametrize("lose", [_revoke_token, _revoke_lease, _wait_for_the_end])
async def test_what_was_lost_between_two_runs_is_made_anew_once(
    vault: FakeVault, lose: Callable[[FakeVault], object]
) -> None:
    disk = Disk()
    first = await live(disk, vault, CREDS)
    await lose(vault)  # type: ignore[misc]
    second = await live(disk, vault, CREDS, seconds=30)

    assert second.user() != first.user()
    assert vault.valid(second.user())
    assert len(vault.live_leases()) == 1
    assert vault.count("GET", CREDS.path) == 2


async def test_a_token_lost_in_an_outage_across_a_restart_is_replaced_at_the_return(
    vault: FakeVault,
) -> None:
    disk = Disk()
    await live(disk, vault, CREDS)
    vault.down = True
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=10)
        vault.live_tokens()[0].revoked = True
        vault.down = False
        await world.until(lambda: vault.valid(world.user()), within_s=8)

    assert len(vault.live_leases()) == 1


async def test_another_way_to_log_in_replaces_the_token_and_revokes_it_after_the_overlap(
    vault: FakeVault,
) -> None:
    disk = Disk()
    first = await live(disk, vault, CREDS)
    world = World(vault, memory=disk.remember("another login"))
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=2)
        assert vault.valid(first.user())
        await asyncio.sleep(10)

        assert not vault.valid(first.user())
        assert vault.valid(world.user())
    assert len(vault.live_tokens()) == 1


async def test_a_kill_in_the_middle_of_a_mint_leaves_no_credential_behind(
    vault: FakeVault,
) -> None:
    """Vault made it, and nobody ever learnt: its token, and with it the lease, is replaced."""
    disk = Disk()
    vault.latency_s = 0.5
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS):
        while vault.count("GET", CREDS.path) == 0:
            await asyncio.sleep(0.01)
        disk.collect = None  # killed here
        await asyncio.sleep(1)
    assert len(vault.live_leases()) == 1
    await live(disk, vault, CREDS, seconds=30)

    assert len(vault.live_leases()) == 1
    assert len(vault.live_tokens()) == 1
    assert logins(vault) == 2


async def test_a_lease_that_no_template_uses_any_more_is_revoked(vault: FakeVault) -> None:
    disk = Disk()
    first = await live(disk, vault, CREDS, OTHER)
    await live(disk, vault, CREDS, seconds=30)

    assert vault.valid(first.user(CREDS))
    assert not vault.valid(first.user(OTHER))
    assert logins(vault) == 1


async def test_leases_that_were_revoked_one_by_one_are_not_used_by_the_next_run(
    vault: FakeVault,
) -> None:
    """Without Vault it took them for good: by the clock they were."""
    disk = Disk()
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        await world.store.revoke_leases()
    vault.down = True
    world = World(vault, memory=disk.remember("a"))
    async with world.running(CREDS):
        await asyncio.sleep(30)

    assert vault.live_leases() == []
    assert world.store.snapshot(CREDS) is None


async def test_a_write_is_not_repeated_by_a_restart(vault: FakeVault) -> None:
    disk = Disk()
    for _ in range(3):
        await live(disk, vault, WRITE, CREDS)

    assert vault.count("PUT", "secret/data/product") == 1


async def test_the_mint_budget_survives_a_restart_and_goes_on_to_refill(vault: FakeVault) -> None:
    disk = Disk()
    for _ in range(4):
        await live(disk, vault, CREDS)
        _ = [vault.revoke_lease(lease) for lease in vault.live_leases()]
    spent = disk.remember("a").spent[CREDS]
    await asyncio.sleep(60)
    world = await live(disk, vault, KV)

    assert spent == pytest.approx(4, abs=0.3)
    assert world.store._context.budgets.spent()[CREDS] == pytest.approx(spent - 2, abs=0.2)


async def test_a_wall_clock_that_was_set_back_makes_nothing_live_longer(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    await live(disk, vault, CREDS)
    for module in ("secrets.keeper", "secrets.plan", "tokens.keeper", "secrets.memory"):
        monkeypatch.setattr(f"leasekeeper.{module}.time", lambda: wall() - 86400)
    vault.down = True
    world = await live(disk, vault, CREDS, seconds=10)
    snapshot = world.store.snapshot(CREDS)

    assert snapshot is not None
    assert world.store.end_of(snapshot) <= now() + 300


async def test_a_refusal_by_policy_is_followed_by_one_login_after_a_restart(
    vault: FakeVault,
) -> None:
    """The role may have got the policy since the token was made."""
    disk = Disk()
    await live(disk, vault, CREDS)
    vault.denied_paths.add(OTHER.path)
    await live(disk, vault, CREDS, OTHER, seconds=30)

    assert logins(vault) == 2
