"""The same small fleet twice: over the model, and over HTTP against a real OpenBao."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

from benchmarks.fleet.figures import per_second, rate
from benchmarks.fleet.model import Terms
from benchmarks.fleet.simulation import (
    CREDENTIAL,
    Log,
    Scenario,
    end,
    run_task,
    settings_of,
    simulate,
)
from leasekeeper.devstack.product_setup import DatabaseRules, TokenRules
from leasekeeper.devstack.world import World, WorldSettings
from leasekeeper.runtime.clock import now
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient

# Everything happens some times within a minute and a half.
SMALL = Scenario(
    tasks=100,
    terms=Terms(token_ttl=60, token_max_ttl=1e9, lease_ttl=40, lease_max_ttl=60),
    wave_s=5,
    end_s=90,
    outage=(50, 60),
    settings={
        "probe": {"interval": "5s"},
        "secrets": {"static_secret_render_interval": "15s", "overlap": "5s"},
    },
)
BUCKET_S = 5
_KINDS = {
    "auth/approle/login": "login",
    "auth/token/lookup-self": "lookup token",
    "auth/token/renew-self": "renew token",
    "sys/leases/lookup": "lookup lease",
    "sys/leases/renew": "renew lease",
    "sys/internal/ui/mounts": "find mount",
    "sys/health": "health",
    CREDENTIAL.path: "mint",
    "secret/data/product": "read",
}


async def compare() -> dict[str, Any]:
    """Return what both saw: requests by kind, and the rate before and after an outage.

    What is asked during the outage is left out: a server that is away counts nothing.
    """
    real = await _real()
    model = await asyncio.to_thread(simulate, SMALL)
    return {"model": _summary(model), "real": _summary(real)}


def _summary(log: Log) -> dict[str, Any]:
    down, up = (int(at) for at in SMALL.outage)
    there = {
        kind: sum(count for second, count in counts.items() if not down <= second < up)
        for kind, counts in log.requests.items()
    }
    counts = per_second(log, SMALL.end_s)
    before, after = rate(counts[10:down], BUCKET_S), rate(counts[up:], BUCKET_S)
    return {
        "requests": there,
        "before": {"mean": before.mean, "peak": before.peak},
        "after": {"mean": after.mean, "peak": after.peak},
    }


async def _real() -> Log:
    terms = SMALL.terms
    chosen = WorldSettings(
        tokens=TokenRules(ttl_s=round(terms.token_ttl)),
        database=DatabaseRules(ttl_s=round(terms.lease_ttl), max_ttl_s=round(terms.lease_max_ttl)),
    )
    async with World(chosen) as world:
        role = await world.admin.read("auth/approle/role/product/role-id")
        proof = await world.admin.write("auth/approle/role/product/secret-id")
        return await _play(world, role["role_id"], proof["data"]["secret_id"])


async def _play(world: World, role_id: str, secret_id: str) -> Log:
    settings = settings_of(SMALL, role_id=role_id, secret_id=secret_id)
    vault = settings.vault.model_copy(update={"address": world.address})
    settings = settings.model_copy(update={"vault": vault})
    clients = [VaultClient(vault, SMALL.rng(number)) for number in range(SMALL.tasks)]
    running: list[asyncio.Task[Any]] = []
    began, seen = now(), len(world.gateway.seen)

    def start(number: int) -> None:
        login = create_method(settings.auth, vault)
        running.extend(run_task(clients[number], login, settings, SMALL.rng(number)))

    loop = asyncio.get_running_loop()
    for number in range(SMALL.tasks):
        loop.call_at(began + SMALL.starts_at(number), start, number)
    await asyncio.sleep(SMALL.outage[0])
    await world.gateway.stop_listening()
    await asyncio.sleep(began + SMALL.outage[1] - now())
    await world.gateway.listen_again()
    await asyncio.sleep(began + SMALL.end_s - now())
    await end(running)
    requests: dict[str, Counter[int]] = defaultdict(Counter)
    for request in world.gateway.seen[seen:]:
        requests[_kind(request.path)][int(request.at - began)] += 1
    for client in clients:
        await client.close()
    return Log(requests=dict(requests))


def _kind(path: str) -> str:
    bare = path.removeprefix("/v1/")
    return next((kind for start, kind in _KINDS.items() if bare.startswith(start)), bare)
