"""Nothing makes Leasekeeper mint without bound, and no plan of its own is ever held up."""

from __future__ import annotations

import asyncio

import pytest

from leasekeeper.errors import MintBudgetSpent, VaultRejected, VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.budget import MintBudgets
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, World

BUDGET = {"secrets": {"mint_budget": {"count": 3, "window": "10m"}, "overlap": "5s"}}


def mints(vault: FakeVault) -> int:
    return vault.count("GET", CREDS.path)


async def test_leases_that_are_taken_away_for_ever_meet_the_budget_until_they_are_not() -> None:
    vault = FakeVault()
    vault.lease_ttl, vault.lease_max_ttl = 3600, 36000
    vault.token_ttl = 3600
    world = World(vault, probe={"interval": "5s"}, **BUDGET)

    async with world.running(CREDS):
        keeper = world.store.keepers[CREDS]
        end = now() + 900
        while now() < end:
            for lease in vault.live_leases():
                vault.revoke_lease(lease)
            await asyncio.sleep(1)
        assert mints(vault) <= 3 + 900 * 3 / 600

        await world.until(lambda: isinstance(keeper.error, MintBudgetSpent), within_s=600)
        assert "mint_budget" in str(keeper.error)
        assert keeper.next_action[1] < now() + 201
        await world.until(lambda: bool(vault.live_leases()) and not keeper.error, within_s=210)

        assert vault.valid(world.user())


@pytest.mark.parametrize("renewable", [True, False])
async def test_rotation_by_plan_is_never_held(renewable: bool) -> None:
    vault = FakeVault()
    vault.lease_ttl, vault.lease_max_ttl, vault.lease_renewable = 10, 25, renewable
    vault.token_max_ttl = 60
    world = World(vault, secrets={"mint_budget": {"count": 1, "window": "1h"}, "overlap": "10m"})

    def check() -> None:
        assert world.store.keepers[CREDS].error is None
        assert vault.valid(world.user())

    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        await world.watch(50, check)  # the first hand-over to a new token is still ahead

    assert mints(vault) >= 2


async def test_a_renewal_that_is_refused_for_ever_costs_no_mint_before_its_time() -> None:
    vault = FakeVault()
    vault.lease_ttl, vault.lease_max_ttl = 600, 6000
    vault.fail("sys/leases/renew", 403, errors=("1 error occurred:\n\t* permission denied\n\n",))
    world = World(vault)
    async with world.running(CREDS):
        await world.watch(500, lambda: None)

    assert mints(vault) == 1


async def test_secrets_without_a_lease_are_not_bounded() -> None:
    vault = FakeVault()
    vault.kv2["product"] = {"n": 1}
    settings = {"mint_budget": {"count": 1, "window": "1h"}, "static_secret_render_interval": "1s"}
    async with World(vault, secrets=settings).running(KV) as world:
        await world.watch(60, lambda: None)
        assert world.store.keepers[KV].error is None

    assert vault.count("GET", "secret/data/product") > 50


async def test_a_lost_answer_counts_and_a_refusal_does_not() -> None:
    budgets = MintBudgets(2, 600)
    with pytest.raises(VaultRejected):
        async with budgets.mint(CREDS, planned=False):
            raise VaultRejected("no", status=400)
    unsent = VaultUnavailable("cannot be reached")
    unsent.never_sent = True
    with pytest.raises(VaultUnavailable):
        async with budgets.mint(CREDS, planned=False):
            raise unsent
    assert budgets.spent() == {}
    for _ in range(2):
        with pytest.raises(VaultUnavailable):
            async with budgets.mint(CREDS, planned=False):
                raise VaultUnavailable("no answer")
    with pytest.raises(MintBudgetSpent):
        async with budgets.mint(CREDS, planned=False):
            raise AssertionError

    assert budgets.wait_s(CREDS) == pytest.approx(300, abs=1)
    async with budgets.mint(CREDS, planned=True):
        assert budgets.minting == {CREDS}
    assert budgets.minting == set()
