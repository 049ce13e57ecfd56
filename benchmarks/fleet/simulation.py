"""A fleet in virtual time: the program's own keepers and schedule, task by task, over the model.

Real: TokenKeeper, SecretStore, SecretKeeper, Schedule, Reachability, Backoff, one random number
generator for each task. Left out: HTTP, JSON, templates and files, which decide nothing about when
Vault is asked, and time on the wire. Tasks have only Vault in common, and the model answers each
as if it were alone; so a fleet can be cut into parts, simulated in several processes, and added up.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from benchmarks.fleet.clock import VirtualLoop
from benchmarks.fleet.model import ModelClient, ModelVault, Terms
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.store import SecretStore
from leasekeeper.settings.model import Settings
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.response import AuthData

# What the local world has; each task asks for both.
CREDENTIAL = SecretRequest.read("learn/database/creds/product")
VALUE = SecretRequest.read("secret/product")


class SameForAll(Random):
    """A generator without chance: what a fleet does whose members draw the same jitter."""

    def random(self) -> float:
        return 0.5


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens to a fleet; times in seconds from its deployment.

    Each of *tasks* simulated tasks stands for *weight* tasks. They start within *wave_s*.
    """

    tasks: int
    terms: Terms
    end_s: float
    weight: int = 1
    wave_s: float = 60.0
    outage: tuple[float, float] = (math.inf, math.inf)
    jitter: bool = True
    settings: dict[str, Any] = field(default_factory=dict)

    def starts_at(self, number: int) -> float:
        """Return when task *number* starts."""
        return self.wave_s * (number + 0.5) / self.tasks

    def rng(self, number: int) -> Random:
        """Return the generator of task *number*."""
        return Random(f"task {number}") if self.jitter else SameForAll()


@dataclass(kw_only=True)
class Log:
    """What Vault saw, by second: requests of each kind, and by how much its leases changed.

    *gaps* are the times, from and to, at which a task had no credential that works.
    """

    requests: dict[str, Counter[int]]
    leases: Counter[int] = field(default_factory=Counter)
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def __add__(self, other: Log) -> Log:
        kinds = self.requests.keys() | other.requests.keys()
        empty: Counter[int] = Counter()
        return Log(
            requests={
                kind: _sum(self.requests.get(kind, empty), other.requests.get(kind, empty))
                for kind in kinds
            },
            leases=_sum(self.leases, other.leases),
            gaps=self.gaps + other.gaps,
        )


def _sum(one: Counter[int], other: Counter[int]) -> Counter[int]:
    both = Counter(one)
    both.update(other)  # unlike +, keeps what is negative
    return both


class _Login:
    """Logs in to the model."""

    name = "model"

    async def login(self, client: VaultClient) -> AuthData:
        response = await client.login("approle", {})
        assert response.auth is not None
        return response.auth

    def describe(self) -> str:
        return "model"

    async def close(self) -> None:
        return


def settings_of(scenario: Scenario, **auth: str) -> Settings:
    """Return the settings of one task."""
    return Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r", **auth},
            "outputs": [{"destination": "/x", "template": "x"}],
            **scenario.settings,
        }
    )


def run_task(
    client: VaultClient, login: AuthMethod, settings: Settings, rng: Random
) -> Iterator[asyncio.Task[Any]]:
    """Start what asks Vault in one Leasekeeper, and yield its tasks."""
    tokens = TokenKeeper(
        client,
        login,
        backoff=Backoff(minimum_s=settings.auth.min_backoff, maximum_s=settings.auth.max_backoff),
        overlap_s=settings.secrets.overlap,
        probe_interval_s=settings.probe.interval,
        rng=rng,
    )
    store = SecretStore(settings, client, tokens, rng=rng, on_error=_bug)
    store.require((CREDENTIAL, VALUE))
    loop = asyncio.get_running_loop()
    for run in (tokens.run, store.run, client.reachability.watch):
        task = loop.create_task(run(), name=run.__qualname__)
        task.add_done_callback(_ended)
        yield task


def _bug(name: str, error: BaseException) -> None:
    # The one thing that ends a loop from a callback: a simulation with a dead task says nothing.
    raise SystemExit(f"{name} failed: {error!r}") from error


def _ended(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        _bug(task.get_name(), task.exception() or RuntimeError("it returned"))


async def end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* and wait for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def simulate(scenario: Scenario, members: range | None = None) -> Log:
    """Return what the *members* of the fleet, by number, ask of Vault; None is all of them."""
    members = range(scenario.tasks) if members is None else members
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_simulate(scenario, members))


async def _simulate(scenario: Scenario, members: range) -> Log:
    vault = ModelVault(scenario.terms)
    settings = settings_of(scenario)
    loop = asyncio.get_running_loop()
    running: list[asyncio.Task[Any]] = []

    def start(number: int) -> None:
        rng = scenario.rng(number)
        client = cast("VaultClient", ModelClient(vault, rng))
        running.extend(run_task(client, _Login(), settings, rng))

    for number in members:
        loop.call_later(scenario.starts_at(number), start, number)
    for at, down in zip(scenario.outage, (True, False), strict=True):
        if at < math.inf:
            loop.call_later(at, setattr, vault, "down", down)
    await asyncio.sleep(scenario.end_s)
    vault.close()
    await end(running)
    return _log_of(vault, scenario.weight)


def _log_of(vault: ModelVault, weight: int) -> Log:
    leases: Counter[int] = Counter()
    for lease in vault.leases.values():
        leases[int(lease.began)] += weight
        leases[int(lease.over_at)] -= weight
    requests = {
        kind: Counter({second: count * weight for second, count in counts.items()})
        for kind, counts in vault.counts.items()
    }
    return Log(requests=requests, leases=leases, gaps=vault.gaps * weight)
