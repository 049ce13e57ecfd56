"""A fleet in virtual time: the program's own keepers and schedule, task by task, over the model.

Real: TokenKeeper, SecretStore, SecretKeeper, Schedule, Reachability, Backoff, one random number
generator for each task. Left out: HTTP, JSON, templates and files, which decide nothing about when
Vault is asked, and time on the wire.
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
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.response import AuthData

SECRETS = (SecretRequest.read("database/creds/app"), SecretRequest.read("kv/app"))


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


@dataclass(kw_only=True)
class Log:
    """What Vault saw: requests by kind and second, and how many leases it held in each second."""

    requests: dict[str, Counter[int]]
    leases: Counter[int]
    """Changes of the number, by second."""

    def __add__(self, other: Log) -> Log:
        kinds = self.requests.keys() | other.requests.keys()
        empty: Counter[int] = Counter()
        return Log(
            requests={
                kind: _sum(self.requests.get(kind, empty), other.requests.get(kind, empty))
                for kind in kinds
            },
            leases=_sum(self.leases, other.leases),
        )


def _sum(one: Counter[int], other: Counter[int]) -> Counter[int]:
    both = Counter(one)
    both.update(other)
    return both


class _Login:
    name = "model"

    async def login(self, client: VaultClient) -> AuthData:
        response = await client.login("approle", {})
        assert response.auth is not None
        return response.auth

    def describe(self) -> str:
        return "model"

    async def close(self) -> None:
        return


def simulate(scenario: Scenario, members: range) -> Log:
    """Return what the *members* of the fleet, by number, ask of Vault."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_simulate(scenario, members))


async def _simulate(scenario: Scenario, members: range) -> Log:
    vault = ModelVault(scenario.terms)
    settings = Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": "/x", "template": "x"}],
            **scenario.settings,
        }
    )
    loop = asyncio.get_running_loop()
    running: list[asyncio.Task[Any]] = []
    for number in members:
        start_s = scenario.wave_s * (number + 0.5) / scenario.tasks
        loop.call_later(
            start_s, lambda n=number: running.extend(_task(scenario, n, vault, settings))
        )
    for at, down in zip(scenario.outage, (True, False), strict=True):
        if at < math.inf:
            loop.call_later(at, setattr, vault, "down", down)
    await asyncio.sleep(scenario.end_s)
    for task in running:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return _log_of(vault, scenario)


def _task(
    scenario: Scenario, number: int, vault: ModelVault, settings: Settings
) -> Iterator[asyncio.Task[Any]]:
    rng = Random(f"task {number}") if scenario.jitter else SameForAll()
    client = cast("VaultClient", ModelClient(vault, rng))
    tokens = TokenKeeper(
        client,
        _Login(),
        backoff=Backoff(minimum_s=settings.auth.min_backoff, maximum_s=settings.auth.max_backoff),
        overlap_s=settings.secrets.overlap,
        probe_interval_s=settings.probe.interval,
        rng=rng,
    )
    store = SecretStore(settings, client, tokens, rng=rng, on_error=_bug)
    store.require(SECRETS)
    loop = asyncio.get_running_loop()
    for run in (tokens.run, store.run, client.reachability.watch):
        yield loop.create_task(run())


def _bug(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


def _log_of(vault: ModelVault, scenario: Scenario) -> Log:
    weight = scenario.weight
    leases: Counter[int] = Counter()
    for lease in vault.leases.values():
        leases[int(lease.began)] += weight
        leases[int(lease.over_at)] -= weight
    requests = {
        kind: Counter({second: count * weight for second, count in counts.items()})
        for kind, counts in vault.counts.items()
    }
    return Log(requests=requests, leases=leases)
