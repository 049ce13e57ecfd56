"""The live token against a Vault that fails, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from leasekeeper.errors import VaultDenied, VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.response import AuthData, WrapInfo
from tests.captured_logs import capture_logs
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, Disk, FakeLogin, LateVault, World

LOGIN, RENEW, LOOKUP = "auth/approle/login", "auth/token/renew-self", "auth/token/lookup-self"


@pytest.fixture
def vault() -> LateVault:
    return LateVault()


def between(vault: FakeVault, path: str, start: float) -> list[float]:
    return [at for at, _, asked in vault.requests if asked == path and at >= start]


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_lookup_that_is_refused_as_such_says_nothing_about_the_token(
    vault: LateVault, status: int
) -> None:
    """A proxy without lookup-self ended the process, and secrets that were denied."""
    vault.fail(LOOKUP, status)
    vault.denied_paths.add("database/creds/")
    world = World(vault, probe={"interval": "1s"})
    async with world.running(CREDS):
        await asyncio.sleep(30)
        error = world.store.keepers[CREDS].error

    assert vault.count("POST", LOGIN) == 1
    assert error is not None


async def test_a_policy_without_lookup_self_does_not_cost_a_login_per_probe(
    vault: LateVault,
) -> None:
    """`token_no_default_policy`: every probe took the good token for a bad one."""
    vault.denied_paths.add(LOOKUP)
    world = World(vault, probe={"interval": "5s"})
    async with world.running(CREDS):
        await asyncio.sleep(40)
        vault.revoke_token(vault.live_tokens()[0].name)
        await world.until(lambda: vault.valid(world.user()), within_s=6)

    assert vault.count("POST", LOGIN) == 2
    assert len(vault.leases) == 2


async def test_a_renewal_answered_after_the_token_was_rejected_does_not_revive_it(
    vault: LateVault,
) -> None:
    """The token keeper waited for the next renewal of a token that it no longer sent."""
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.late[RENEW] = 5
        await world.until(lambda: vault.count("POST", RENEW) == 1, within_s=60)
        await asyncio.sleep(0.1)
        serial = world.tokens.serial
        vault.revoke_token(vault.live_tokens()[0].name)
        refusal = VaultDenied("read: 403")
        refusal.token_serial = serial
        vault.late[LOGIN] = 10
        began = now()
        assert await world.tokens.verify(refusal)

        assert world.tokens.serial == serial + 1
        assert now() - began <= 16


async def test_a_refused_renewal_is_no_verdict_while_the_token_cannot_be_looked_up(
    vault: LateVault,
) -> None:
    vault.token_ttl = 100
    vault.fail(RENEW, 403, times=1)
    vault.fail(LOOKUP, 500, times=1)
    world = World(vault, probe={"interval": "0"})
    async with world.running():
        await asyncio.sleep(1000)

    assert vault.count("POST", LOGIN) == 1


async def test_a_login_is_not_tried_again_before_the_pause_that_vault_asks_for(
    vault: LateVault,
) -> None:
    vault.fail(LOGIN, 429, times=1, headers={"Retry-After": "20"})
    world = World(vault)
    async with world.running():
        await asyncio.sleep(40)

    first, second = between(vault, LOGIN, 0)
    assert 20 <= second - first <= 31


async def test_a_token_renewal_honours_the_pause_that_vault_asks_for(vault: LateVault) -> None:
    vault.token_ttl = 300
    vault.fail(RENEW, 429, times=1, headers={"Retry-After": "20"})
    world = World(vault, probe={"interval": "0"})
    async with world.running():
        await asyncio.sleep(290)

    first, second = between(vault, RENEW, 0)
    assert 20 <= second - first <= 31
    assert vault.count("POST", LOGIN) == 1


async def test_a_pause_that_vault_asks_for_is_cut_short_by_the_end_of_the_token(
    vault: LateVault,
) -> None:
    vault.token_ttl = 30
    vault.fail(RENEW, 429, times=1, headers={"Retry-After": "300"})
    world = World(vault, probe={"interval": "0"})
    async with world.running():
        await asyncio.sleep(29)

    assert vault.count("POST", RENEW) == 2
    assert vault.count("POST", LOGIN) == 1


async def test_tokens_that_end_in_outages_do_not_slow_down_the_next_login(
    vault: LateVault,
) -> None:
    """A token that ends as granted is no reason to suspect the next one."""
    vault.token_kind, vault.token_ttl = "batch", 30
    world = World(vault)
    async with world.running():
        for _ in range(6):
            await asyncio.sleep(5)
            vault.down = True
            await asyncio.sleep(60)
            vault.down = False
            await asyncio.sleep(4)
            assert vault.live_tokens()


async def test_a_token_that_is_revoked_after_each_login_does_not_become_a_login_loop(
    vault: LateVault,
) -> None:
    world = World(vault, probe={"interval": "1s"})

    async def revoke() -> None:
        while True:
            await asyncio.sleep(0.1)
            for token in vault.live_tokens():
                token.revoked = True

    revoking = asyncio.get_running_loop().create_task(revoke())
    async with world.running(CREDS):
        await asyncio.sleep(600)
    revoking.cancel()

    assert vault.count("POST", LOGIN) <= 30


async def test_an_expired_token_is_not_used_while_the_login_fails(vault: LateVault) -> None:
    """Every secret asked once more with the dead token, and looked it up."""
    vault.token_kind, vault.token_ttl = "batch", 30
    world = World(vault, probe={"interval": "0"}, secrets={"static_secret_render_interval": "1s"})
    vault.kv1["app"] = {"a": "b"}
    async with world.running():
        await asyncio.sleep(5)
        vault.fail(LOGIN, 500)
        await asyncio.sleep(25.2)
        dead = world.tokens.lease is None

    assert dead


async def test_a_renewal_that_grants_nothing_leads_to_a_login(vault: LateVault) -> None:
    """Less than a second is left at max TTL, and Vault rounds it down to zero."""
    vault.token_ttl = 60
    world = World(vault, probe={"interval": "0"})
    async with world.running():
        await asyncio.sleep(30)
        token = vault.live_tokens()[0]
        token.max_ttl = 0.1  # in the past: renewals grant nothing from here on
        await asyncio.sleep(45)

    assert vault.count("POST", LOGIN) == 2


async def test_a_token_file_that_stays_the_same_is_read_again_without_a_flood(
    vault: LateVault,
) -> None:
    class SameToken:
        name = "token_file"
        logins = 0

        async def login(self, client: Any) -> AuthData:
            self.logins += 1
            answer = await client.lookup_token("hvs.mine")
            ttl = max(int(answer.data["ttl"]), 1)
            return AuthData(client_token="hvs.mine", lease_duration_s=ttl)

        def describe(self) -> str:
            return "a file"

        async def close(self) -> None:
            return

    vault._login()
    vault.tokens["hvs.mine"] = vault.tokens.popitem()[1]
    method = SameToken()
    world = World(vault, login=method, probe={"interval": "0"})
    async with world.running():
        await asyncio.sleep(300)

    assert world.tokens.serial == 0
    assert method.logins <= 40


async def test_a_failed_login_ends_the_process_if_that_was_asked_for(vault: FakeVault) -> None:
    """`auth.exit_on_err`, as in Vault Agent."""
    vault.fail("auth/approle/login", 500)
    world = World(vault)
    world.tokens._exit_on_error = True

    with pytest.raises(VaultUnavailable):
        await world.tokens.run()

    assert vault.count("POST", "auth/approle/login") == 1


@pytest.mark.parametrize(("uses", "events"), [(0, 0), (10, 1)])
async def test_a_token_of_few_uses_is_a_warning_at_its_login(
    vault: LateVault, uses: int, events: int
) -> None:
    vault.token_uses = uses
    world = World(vault)
    with capture_logs() as logs:
        async with world.running(CREDS):
            await asyncio.sleep(30)

    said = [log for log in logs if log["event"] == "token.uses_limited"]
    assert [log["uses"] for log in said] == [uses] * events
    assert all("token_num_uses" in log["hint"] for log in said)


async def test_a_token_of_few_uses_is_replaced_before_the_last_ends_what_it_made(
    vault: LateVault,
) -> None:
    """The credential on disk stopped working with the tenth use, until a lookup found out."""
    vault.token_uses, vault.token_ttl = 10, 1200
    vault.lease_ttl = vault.lease_max_ttl = 3600
    world = World(vault)
    bad = 0
    async with world.running(CREDS):
        await world.until(lambda: world.store.keepers[CREDS].snapshot is not None, within_s=5)
        for _ in range(1000):
            await asyncio.sleep(1)
            bad += not vault.valid(world.user())

    assert bad == 0
    assert 10 <= vault.count("POST", LOGIN) <= 17, "one in two rounds of lookups at the most"


@pytest.mark.parametrize("uses", [1, 2, 3, 5])
async def test_a_token_of_too_few_uses_is_no_reason_for_a_storm(
    vault: LateVault, uses: int
) -> None:
    vault.token_uses, vault.token_ttl = uses, 1200
    vault.lease_ttl = vault.lease_max_ttl = 3600
    world = World(vault)
    async with world.running(CREDS):
        await asyncio.sleep(1000)

    assert vault.count("POST", LOGIN) <= 40
    assert vault.count("GET", "database/creds") <= 40


@pytest.mark.parametrize("unanswered", [0, 1])
async def test_the_uses_that_are_left_of_the_token_of_the_last_run_are_counted(
    vault: LateVault, unanswered: int
) -> None:
    vault.token_uses, vault.token_ttl = 12, 1200
    vault.lease_ttl = vault.lease_max_ttl = 3600
    disk = Disk()
    async with World(vault, memory=disk.remember()).running(CREDS):
        await asyncio.sleep(20)
    world = World(vault, memory=disk.remember())
    vault.fail(LOOKUP, 500, times=unanswered)
    bad = 0
    async with world.running(CREDS):
        await world.until(lambda: world.store.keepers[CREDS].snapshot is not None, within_s=5)
        resumed = world.tokens.resumed
        for _ in range(300):
            await asyncio.sleep(1)
            bad += not vault.valid(world.user())

    assert resumed
    assert bad == 0


async def test_uses_that_others_take_are_counted_at_the_next_lookup(vault: LateVault) -> None:
    """A sink gives the token away, and whoever has it uses it."""
    vault.token_uses, vault.token_ttl = 60, 36_000
    vault.lease_ttl = vault.lease_max_ttl = 36_000
    world = World(vault, probe={"interval": "30s"})
    bad = 0
    async with world.running(CREDS):
        await world.until(lambda: world.store.keepers[CREDS].snapshot is not None, within_s=5)
        for second in range(600):
            await asyncio.sleep(1)
            for token in vault.live_tokens():
                token.uses -= second % 5 == 0 and token.uses > 1
            bad += not vault.valid(world.user())

    assert bad == 0
    assert vault.count("POST", LOGIN) > 1


async def test_a_login_that_was_asked_for_during_a_renewal_is_not_forgotten(
    vault: LateVault,
) -> None:
    world = World(vault, probe={"interval": "0"})
    async with world.running(CREDS):
        await world.until(lambda: bool(world.seen), within_s=5)
        vault.late[RENEW] = 1
        await world.until(lambda: vault.count("POST", RENEW) == 1, within_s=3600)
        world.tokens.replace()
        await asyncio.sleep(10)

        assert vault.count("POST", LOGIN) == 2


async def test_a_wrapped_token_is_left_to_its_reader(vault: LateVault) -> None:
    class WrappedLogin(FakeLogin):
        async def login(self, client: VaultClient) -> AuthData:
            await super().login(client)
            return AuthData(client_token="w", wrapping=WrapInfo(token="w"))

    world = World(vault, login=WrappedLogin(), probe={"interval": "5s"})
    async with world.running():
        await asyncio.sleep(3600)
        world.suspend(10)
        await asyncio.sleep(60)
        assert world.tokens.lease is not None
        await world.tokens.revoke()

    assert vault.counts() == {"POST auth/approle/login": 1}
    assert vault.token is None
