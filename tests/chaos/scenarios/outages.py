"""Vault is away for longer than a credential lives; how soon all is well after its return."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from statistics import median

from leasekeeper.devstack.faults import Fault
from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage

AWAY_S = 60.0
BACK_S = 3.0
WATCHED_S = 60.0
TIMES = 3
GOAL = "works again at most 3 s after the end, always"
SHORT_LEASES = Rules(lease_ttl_s=30)
SHORT_EVERYTHING = Rules(lease_ttl_s=30, token_ttl_s=30)

Outage = Callable[[Stage], AbstractAsyncContextManager[None]]


async def _recoveries(stage: Stage, outage: Outage) -> Finding:
    await stage.start()
    recoveries: list[float] = []
    for _ in range(TIMES):
        # From anywhere between two renewals.
        await asyncio.sleep(stage.rng.uniform(3, 3 + stage.s(15)))
        async with outage(stage):
            await stage.sleep(AWAY_S)
        ended = time.monotonic()
        back_s = await stage.good_again(ended, within_s=WATCHED_S)
        if back_s is None:
            said = f"not within {WATCHED_S:.0f} s"
            return Finding(said=said, good=False, figures={"recoveries_s": recoveries})
        recoveries.append(round(back_s, 2))
    early = _refused_early(stage)
    return Finding(
        said=f"good again after {min(recoveries):.1f} to {max(recoveries):.1f} s "
        f"(median {median(recoveries):.1f})",
        good=max(recoveries) <= BACK_S and not early,
        figures={"recoveries_s": recoveries, "refused_while_valid": early},
    )


def _refused_early(stage: Stage) -> int:
    """Count the times without a login that began while PostgreSQL still had the user."""
    return sum(stage.users.works(gap.users[0], gap.begin) for gap in stage.application.gaps())


@contextlib.asynccontextmanager
async def refusing(stage: Stage) -> AsyncIterator[None]:
    """Reset and refuse every connection for a while."""
    await stage.lane.wire.refuse()
    try:
        yield
    finally:
        await stage.lane.wire.start()


@contextlib.asynccontextmanager
async def silent(stage: Stage) -> AsyncIterator[None]:
    """Swallow every byte for a while; what was connected stays silent for good."""
    stage.lane.wire.silence()
    try:
        yield
    finally:
        stage.lane.wire.speak()


@contextlib.asynccontextmanager
async def sealed(stage: Stage) -> AsyncIterator[None]:
    """Answer 503, as a sealed server does."""
    faults = stage.lane.gateway.faults
    fault = faults.add(Fault(kind="status", times=None, status=503, errors=("Vault is sealed",)))
    try:
        yield
    finally:
        faults.remove(fault)


@scenario(
    "outage",
    event="an outage of 60 s, connections refused (role TTL 30 s), 3 times",
    goal=GOAL,
    rules=SHORT_LEASES,
    lasts_s=270,
)
async def outage(stage: Stage) -> Finding:
    """The server is down; the token outlives the outage."""
    return await _recoveries(stage, refusing)


@scenario(
    "outage-of-token",
    event="the same, and the token ends during it too (TTL 30 s)",
    goal=GOAL,
    rules=SHORT_EVERYTHING,
    lasts_s=270,
)
async def outage_of_token(stage: Stage) -> Finding:
    """The server is down, and the way back begins with a login."""
    return await _recoveries(stage, refusing)


@scenario(
    "black-hole",
    event="a black hole of 60 s, open connections go silent (role TTL 30 s), 3 times",
    goal=GOAL,
    rules=SHORT_LEASES,
    lasts_s=270,
)
async def black_hole(stage: Stage) -> Finding:
    """Nothing is refused and nothing answers."""
    return await _recoveries(stage, silent)


@scenario(
    "sealed",
    event="sealed for 60 s, every answer is 503 (TTLs 30 s), 3 times",
    goal=GOAL,
    rules=SHORT_EVERYTHING,
    lasts_s=270,
)
async def sealed_server(stage: Stage) -> Finding:
    """The server answers that it cannot serve."""
    return await _recoveries(stage, sealed)
