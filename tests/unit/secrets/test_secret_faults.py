"""What a secret does when Vault misbehaves: it heals, and it never floods."""

from __future__ import annotations

import asyncio

import pytest

from leasekeeper.runtime.clock import now
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.transport import Reply
from tests.fakes.secret_world import CREDS, KV, LateVault, World

MINT, RENEW, LOOKUP = "database/creds/product", "sys/leases/renew", "sys/leases/lookup"


class KvVault(LateVault):
    """Its `kv/` mount can be upgraded to version 2."""

    def __init__(self) -> None:
        super().__init__()
        self.kv_version = 1

    def _mount(self, path: str) -> Reply:
        reply = super()._mount(path)
        if path.startswith("kv/"):
            reply.body["data"]["options"] = {"version": str(self.kv_version)}
        return reply

    def upgrade(self) -> None:
        """Do what ``vault kv enable-versioning kv`` does."""
        self.kv_version = 2
        self.kv1 = {
            f"data/{name}": {"data": data, "metadata": {"version": 1}}
            for name, data in self.kv1.items()
        }


@pytest.fixture
def vault() -> KvVault:
    return KvVault()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of all steps: a keeper that spins asks Vault nothing, and still costs a core."""
    times: list[float] = []
    step = SecretKeeper.step

    async def counted(self: SecretKeeper) -> float:
        times.append(now())
        assert len(times) < 5000, "the keeper spins"
        return await step(self)

    monkeypatch.setattr(SecretKeeper, "step", counted)
    return times


async def test_a_lost_lease_does_not_spin_when_vault_returns(
    vault: KvVault, steps: list[float]
) -> None:
    """A renewal had failed before the lease was lost, so its retry was due for ever."""
    world = World(vault, probe={"interval": "5s"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.fail(RENEW, 500)
        vault.fail(MINT, 500)
        await world.until(lambda: vault.count("PUT", RENEW) > 1, within_s=40)
        vault.revoke_lease(vault.live_leases()[0])
        await world.until(lambda: world.store.keepers[CREDS].lease is None, within_s=20)
        vault.down = True
        await asyncio.sleep(10)
        vault.down = False
        await asyncio.sleep(30)

    assert len(steps) < 150


async def test_a_login_during_a_renewal_of_a_lease_makes_the_lease_anew(vault: KvVault) -> None:
    """The renewal's answer overwrote the plan, and the lease died with its token (P3)."""
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 600, 300, 36000
    vault.late[RENEW] = 5
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: vault.count("PUT", RENEW) == 1, within_s=300)
        world.tokens.replace()
        await asyncio.sleep(10)

        assert vault.count("POST", "auth/approle/login") == 2
        assert len(vault.leases) == 2
        assert vault.by_user[world.user()].token is list(vault.tokens.values())[-1]


async def test_a_login_during_a_refused_renewal_makes_the_lease_anew(vault: KvVault) -> None:
    vault.token_ttl, vault.lease_ttl = 600, 300
    vault.late[RENEW] = 5
    vault.fail(RENEW, 400, errors=("lease is not renewable",))
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: vault.count("PUT", RENEW) == 1, within_s=300)
        world.tokens.replace()
        await asyncio.sleep(10)

    assert len(vault.leases) == 2


@pytest.mark.parametrize("expiration", [1, 10**9, 2**62, 10**30])
async def test_a_certificate_with_an_absurd_end_is_no_flood_and_no_crash(
    vault: KvVault, steps: list[float], expiration: int
) -> None:
    """An issuer, or a clock, that is off makes certificates that have ended on arrival."""
    vault.kv1["cert"] = {"certificate": "x", "expiration": expiration}
    world = World(vault)
    async with world.running(SecretRequest.read("kv/cert")):
        await asyncio.sleep(600)
        vault.fail("kv/cert", 500)
        await asyncio.sleep(600)

    assert vault.count("GET", "kv/cert") <= 130


async def test_the_same_certificate_read_again_is_not_a_new_generation(vault: KvVault) -> None:
    vault.kv1["cert"] = {"certificate": "x", "expiration": 1}
    world = World(vault)
    async with world.running(SecretRequest.read("kv/cert")):
        await asyncio.sleep(600)

    assert len(world.seen) == 1


@pytest.mark.parametrize("fault", [500, 404, 403, 400, 429, None])
async def test_a_path_that_fails_long_after_its_value_has_ended_is_asked_seldom(
    vault: KvVault, steps: list[float], fault: int | None
) -> None:
    """It was asked twice a second for ever."""
    vault.lease_max_ttl = 40
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.fail(MINT, fault)
        await asyncio.sleep(120)
        before = vault.count("GET", MINT)
        await asyncio.sleep(600)
        during = vault.count("GET", MINT) - before
        vault.faults.clear()
        await world.until(lambda: vault.valid(world.user()), within_s=15.1)

    assert during <= 120


async def test_a_static_role_that_does_not_rotate_is_polled_slowly_and_stays_valid(
    vault: KvVault,
) -> None:
    """With its database away, Vault does not rotate, and the old password goes on working."""
    request = SecretRequest.read("database/static-creds/app")
    vault.static_roles["app"] = {"password": "p", "last_vault_rotation": "then", "ttl": 30}
    world = World(vault)
    async with world.running(request):
        await asyncio.sleep(30)
        vault.static_roles["app"]["ttl"] = 0
        await asyncio.sleep(15)
        before, ended = vault.count("GET", "database/static-creds/app"), []
        snapshot = world.store.snapshot(request)
        assert snapshot is not None

        def use() -> None:
            if world.store.end_of(snapshot) <= now():
                ended.append(now())

        await world.watch(600, use)
        during = vault.count("GET", "database/static-creds/app") - before
        vault.static_roles["app"] = {"password": "q", "last_vault_rotation": "now", "ttl": 30}
        await world.until(lambda: len(world.seen) == 2, within_s=3)

    assert ended == []
    assert during <= 400


async def test_a_static_role_that_is_rotated_by_hand_is_noticed_at_the_static_interval(
    vault: KvVault,
) -> None:
    request = SecretRequest.read("database/static-creds/app")
    vault.static_roles["app"] = {"password": "p", "last_vault_rotation": "a", "ttl": 86400}
    world = World(vault, secrets={"static_secret_render_interval": "60s"})
    async with world.running(request):
        await asyncio.sleep(100)
        vault.static_roles["app"] = {"password": "q", "last_vault_rotation": "b", "ttl": 86400}
        await world.until(lambda: len(world.seen) == 2, within_s=61)


async def test_a_renewal_that_the_database_refuses_is_not_a_lost_lease(vault: KvVault) -> None:
    """Vault answers 400 for every failed renewal; the credential on disk goes on working."""
    vault.lease_ttl, vault.lease_max_ttl = 60, 3600
    world = World(vault)
    said = "failed to renew entry: dial tcp: connection refused"
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        fault = vault.fail(RENEW, 400, errors=(said,))
        await world.until(lambda: world.store.keepers[CREDS].error is not None, within_s=60)
        snapshot = world.store.snapshot(CREDS)
        assert snapshot is not None
        assert world.store.end_of(snapshot) > now()
        vault.faults.remove(fault)
        await asyncio.sleep(60)

        assert world.store.keepers[CREDS].error is None
    assert len(vault.leases) == 1


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_lookup_that_is_not_served_is_not_a_lost_lease(vault: KvVault, status: int) -> None:
    """A gateway that does not let sys/leases/lookup through must not cost a lease per probe."""
    vault.lease_max_ttl, vault.token_ttl = 36000, 7200
    vault.fail(LOOKUP, status, errors=("unsupported path",))
    world = World(vault, probe={"interval": "5s"})
    async with world.running(CREDS):
        await asyncio.sleep(600)

    assert len(vault.leases) == 1


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_a_lookup_that_was_refused_once_does_not_end_the_watch_over_the_lease(
    vault: KvVault, status: int
) -> None:
    """After one refusal, a revocation went unnoticed until the end of the lease."""
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 3600, 36000, 7200
    fault = vault.fail(LOOKUP, status)
    world = World(vault, probe={"interval": "5s"})
    async with world.running(CREDS):
        await asyncio.sleep(60)
        vault.faults.remove(fault)
        vault.revoke_lease(vault.live_leases()[0])
        await world.until(lambda: vault.valid(world.user()), within_s=6)


async def test_a_mint_that_was_tried_in_vain_is_forgotten_once_the_renewal_works(
    vault: KvVault,
) -> None:
    vault.lease_ttl, vault.lease_max_ttl = 60, 3600
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.fail(RENEW, 500)
        vault.fail(MINT, 500)
        await asyncio.sleep(56)
        vault.faults.clear()
        await asyncio.sleep(20)

        assert world.store.keepers[CREDS].error is None


async def test_a_kv_mount_that_is_upgraded_to_version_2_is_followed(vault: KvVault) -> None:
    vault.kv1["app"] = {"a": "b"}
    request, keys = SecretRequest.read("kv/app"), SecretRequest.list("kv/")
    world = World(vault, secrets={"static_secret_render_interval": "30s"})
    async with world.running(request, keys):
        await asyncio.sleep(100)
        vault.upgrade()
        vault.kv1["data/app"]["data"] = {"a": "c"}
        await world.until(lambda: len(world.seen) == 3, within_s=70)
        snapshot = world.store.snapshot(request)

    assert snapshot is not None
    assert snapshot.response.data is not None
    assert snapshot.response.data["data"] == {"a": "c"}


async def test_a_destroyed_version_is_missing_or_as_for_vault_agent_without_data(
    vault: KvVault,
) -> None:
    vault.kv2 = {"product": {"a": "b"}, "deleted": {"a": "b"}}
    vault.kv2_destroyed, vault.kv2_deleted = {"product", "deleted"}, {"deleted"}
    deleted = SecretRequest.read("secret/deleted")
    native, drop_in = World(vault), World(vault, empty_versions=True)
    for world in (native, drop_in):
        async with world.running(KV, deleted):
            await asyncio.sleep(10)

    assert "destroyed" in str(native.store.keepers[KV].error)
    assert drop_in.store.keepers[deleted].error is not None
    snapshot = drop_in.store.snapshot(KV)
    assert snapshot is not None
    assert snapshot.response.data is not None
    assert snapshot.response.data["data"] is None
    assert snapshot.response.data["metadata"]["destroyed"] is True


async def test_missing_secrets_do_not_ask_for_their_mount_at_every_try(vault: KvVault) -> None:
    world = World(vault, secrets={"static_secret_render_interval": "30s"})
    async with world.running(*(SecretRequest.read(f"secret/missing{n}") for n in range(20))):
        await asyncio.sleep(600)

    assert vault.count("GET", "sys/internal/ui/mounts/") <= 11


async def test_a_refused_renewal_with_a_failing_token_lookup_is_no_flood(
    vault: KvVault,
) -> None:
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 3000, 36000, 36000
    vault.fail(RENEW, 403)
    vault.fail("auth/token/lookup-self", 500)
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(2900)

    assert vault.count("PUT", RENEW) <= 60


@pytest.mark.parametrize("renewable", [True, False])
@pytest.mark.parametrize("ttl", [1, 2, 3])
async def test_leases_of_a_second_are_no_flood(
    vault: KvVault, steps: list[float], ttl: int, renewable: bool
) -> None:
    vault.lease_ttl, vault.lease_max_ttl, vault.lease_renewable = ttl, 10 * ttl, renewable
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(100)

    assert len(vault.requests) <= 400


async def test_a_lease_renewal_honours_the_pause_that_vault_asks_for(vault: KvVault) -> None:
    vault.lease_ttl, vault.lease_max_ttl, vault.token_ttl = 300, 36000, 3600
    vault.fail(RENEW, 429, times=1, headers={"Retry-After": "20"})
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await asyncio.sleep(290)

    first, second = (at for at, _, path in vault.requests if path == RENEW)
    assert 20 <= second - first <= 31
    assert len(vault.leases) == 1


async def test_a_value_that_is_removed_and_comes_back_is_not_a_new_generation(
    vault: KvVault,
) -> None:
    vault.kv2["product"] = {"a": "b"}
    world = World(vault, secrets={"static_secret_render_interval": "10s"})
    async with world.running(KV):
        await world.until(lambda: bool(world.seen), within_s=5)
        data = vault.kv2.pop("product")
        await asyncio.sleep(60)
        vault.kv2["product"] = data
        await world.until(lambda: world.store.keepers[KV].error is None, within_s=61)

    assert len(world.seen) == 1
