"""Hours of random faults in virtual time: whatever happens, these things stay true.

A seed decides TTLs, latencies and faults. To look at a failure, run its seed alone.
"""

from __future__ import annotations

import asyncio
import math
from random import Random
from typing import Any

import pytest

from leasekeeper.runtime.clock import now
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.secrets.memory import Memory
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.transport import Reply
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import Disk, FakeLogin, World, wall

# Fixtures may have taken a moment: storms that begin a microsecond later round otherwise, draw
# other random numbers, and are other storms.
pytestmark = pytest.mark.looptime(start=1000.0)

HOURS = 1
ROLES = [SecretRequest.read(f"database/creds/role{n}") for n in range(4)]
KV2, KV1 = SecretRequest.read("secret/app"), SecretRequest.read("kv/app")
STATIC_ROLE = SecretRequest.read("database/static-creds/app")
EVERYTHING = [*ROLES, KV2, KV1, STATIC_ROLE]
PATHS = (
    "database/creds/",
    "database/creds/role1",
    "database/static-creds/",
    "secret/",
    "kv/",
    "sys/leases/renew",
    "sys/leases/lookup",
    "sys/internal/ui/mounts/",
    "auth/token/renew-self",
    "auth/token/lookup-self",
    "auth/approle/login",
    "sys/health",
    "",
)
STATUSES = (None, 400, 403, 404, 412, 429, 500, 502, 503)
POLICY = "1 error occurred:\n\t* permission denied\n\n"
# The longest pause between two tries of what there is nothing valid of: a login, a secret.
RETRY_S = 15.0
# A static role is polled every 0.1 s around its rotation; everything else together needs less.
MOST_IN_TEN_SECONDS = 130 + 20 * len(EVERYTHING)


class ChaosVault(FakeVault):
    """Answers in any order, as a real network does."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    async def send(self, method: str, path: str, *args: Any, **more: Any) -> Reply:
        try:
            return await super().send(method, path, *args, **more)
        finally:
            await asyncio.sleep(self._rng.choice((0, 0, 0.01, 0.1, 0.5)))


class Chaos:
    """One world, one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.vault = vault = ChaosVault(rng)
        vault.token_ttl = rng.choice((30, 60, 300, 3600))
        vault.token_max_ttl = rng.choice((math.inf, 2.5 * vault.token_ttl, vault.token_ttl))
        vault.token_kind = rng.choice(("service", "service", "batch"))
        vault.token_period = rng.choice((0, 0, 0, 45)) if vault.token_kind == "service" else 0
        vault.lease_ttl = rng.choice((20, 45, 120, 1000))
        vault.lease_max_ttl = vault.lease_ttl * rng.choice((1, 2.2, 1000))
        vault.lease_renewable = rng.random() < 0.75
        vault.kv2["app"], vault.kv1["app"] = {"n": 0}, {"n": 0}
        self.probe_s = rng.choice((5, 10))
        self.login = FakeLogin()
        self._seed, self._overlap = seed, rng.choice(("5s", "30s", "10m"))
        self.disk = Disk()
        self.world = self.start()
        self.calm_since = math.inf

    def start(self, memory: Memory | None = None) -> World:
        """Return a new process, which knows what *memory* knows."""
        return World(
            self.vault,
            login=self.login,
            seed=self._seed,
            max_backoff_s=RETRY_S,
            memory=memory,
            probe={"interval": f"{self.probe_s}s"},
            secrets={"overlap": self._overlap, "static_secret_render_interval": "20s"},
        )

    async def rotate(self) -> None:
        """Change the static role's password every minute, sometimes late."""
        number, boundary = 0, now()
        while True:
            late = self.rng.choice((0, 1, 4, 30))
            await asyncio.sleep(max(boundary + late - now(), 0))
            number, boundary = number + 1, now() + 60
            role = {"password": f"canary-{number}", "last_vault_rotation": f"r{number}"}
            while now() < boundary + 0.1:
                left = max(math.floor(boundary - now()), 0)
                self.vault.static_roles["app"] = {**role, "ttl": left}
                await asyncio.sleep(0.5)

    async def torment(self, until: float) -> None:
        """Break something, mend it, and leave some peace in between."""
        while now() < until:
            self.calm_since = now()
            await asyncio.sleep(self.rng.uniform(5, 150))
            self.calm_since = math.inf
            await self._break()
            self.vault.faults.clear()
            self.vault.down = self.vault.black_hole = False
        self.calm_since = now()

    async def _break(self) -> None:
        vault, rng = self.vault, self.rng
        what = rng.randrange(8)
        if what == 0:
            vault.down = True
        elif what == 1:
            for token in rng.sample(vault.live_tokens(), k=min(1, len(vault.live_tokens()))):
                token.revoked = True
            return
        elif what == 2:
            for lease in vault.live_leases():
                lease.revoked = rng.random() < 0.5
            return
        elif what == 3:
            for _ in range(rng.randrange(10)):  # Vault comes and goes
                vault.down = not vault.down
                await asyncio.sleep(rng.uniform(0.1, 4))
            return
        elif what == 4:
            vault.black_hole = True
        elif what == 5:
            self.world.suspend(rng.choice((0.7, 10, 100, 5000)))
            return
        else:
            for _ in range(rng.randint(1, 3)):
                status = rng.choice(STATUSES)
                pause = rng.choice(("5", "Thu, 01 Jan 2026 00:00:00 GMT"))
                headers = {"Retry-After": pause} if status == 429 else {}
                # What is said of a bad token would be believed; revocations bring that.
                said = POLICY if status == 403 else "injected"
                vault.fail(rng.choice(PATHS), status, headers=headers, errors=(said,))
        await asyncio.sleep(rng.choice((0.5, 5, 40, 200)))

    def check(self) -> None:
        assert self.login.most <= 1
        peace_s = now() - self.calm_since
        if peace_s < 5 + self.probe_s + RETRY_S:
            return
        for role in ROLES:
            snapshot = self.world.store.snapshot(role)
            assert snapshot is not None, (now(), role)
            assert self.vault.valid(self.world.user(role)), (now(), role, self._story(role))
            assert self.world.store.end_of(snapshot) > now(), (now(), role, self._story(role))

    def _story(self, role: SecretRequest) -> list[str]:
        keeper = self.world.store.keepers[role]
        recent = [f"{at:.1f} {m} {p}" for at, m, p in self.vault.requests if at > now() - 60]
        return [f"{self.calm_since=} {keeper.next_action} {keeper.error}", *recent]

    def busiest_ten_seconds(self) -> tuple[int, float]:
        times = [at for at, _, _ in self.vault.requests]
        most, first = (0, 0.0), 0
        for last, at in enumerate(times):
            while times[first] < at - 10:
                first += 1
            most = max(most, (last - first + 1, at))
        return most


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of the last steps; a keeper that spins fails instead of hanging the test."""
    times: list[float] = []
    step = SecretKeeper.step

    async def counted(self: SecretKeeper) -> float:
        times.append(now())
        if len(times) > 1000:
            assert times.pop(0) < now() - 2, f"{self.name} spins: {self.next_action}"
        return await step(self)

    monkeypatch.setattr(SecretKeeper, "step", counted)
    return times


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 42, 62, 70, 89, 94, 215])
async def test_no_sequence_of_faults_floods_vault_or_outlives_its_end(
    seed: int, steps: list[float]
) -> None:
    chaos = Chaos(seed)
    end = now() + HOURS * 3600
    loop = asyncio.get_running_loop()
    background = [loop.create_task(chaos.rotate()), loop.create_task(chaos.torment(end))]
    try:
        async with chaos.world.running(*EVERYTHING):
            while not background[1].done() or now() < chaos.calm_since + 200:
                chaos.check()
                await asyncio.sleep(0.5)
            keepers = chaos.world.store.keepers
            errors = {r.name: str(keeper.error) for r, keeper in keepers.items() if keeper.error}
            token_error = chaos.world.tokens.error
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    assert errors == {}
    assert token_error is None
    assert len(steps) <= 1001
    busiest, at = chaos.busiest_ten_seconds()
    assert busiest <= MOST_IN_TEN_SECONDS, f"{busiest} requests in the ten seconds before {at}"


@pytest.mark.parametrize("seed", range(6, 9))
async def test_kills_among_the_faults_leave_no_credential_behind(
    seed: int, steps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process after the other, each killed at a random moment, with one state."""
    for module in ("secrets.keeper", "secrets.plan", "tokens.keeper", "secrets.memory"):
        monkeypatch.setattr(f"leasekeeper.{module}.time", wall)
    chaos = Chaos(seed)
    end = now() + 900
    loop = asyncio.get_running_loop()
    background = [loop.create_task(chaos.rotate()), loop.create_task(chaos.torment(end))]
    lives = 0
    try:
        while not background[1].done() or lives == 0:
            lives += 1
            chaos.world = chaos.start(chaos.disk.remember())
            life_s = chaos.rng.choice((0.05, 0.3, 2, 20, 200))
            async with chaos.world.running(*EVERYTHING):
                await asyncio.sleep(life_s)
                chaos.disk.collect = None  # killed: whatever is under way is not written any more
        chaos.world = chaos.start(chaos.disk.remember())
        async with chaos.world.running(*EVERYTHING):
            # So many kills may have spent the mint budget, which then allows one every 30 s.
            await asyncio.sleep(60)
            peace = now()
            while now() < peace + 60:
                chaos.check()
                await asyncio.sleep(0.5)
            users = {chaos.world.user(role) for role in ROLES}
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    assert lives > 5
    assert len(users) == len(ROLES)
    assert len(steps) <= 1001
    busiest, at = chaos.busiest_ten_seconds()
    assert busiest <= MOST_IN_TEN_SECONDS, f"{busiest} requests in the ten seconds before {at}"
