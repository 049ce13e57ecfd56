"""Somebody revokes what is in use."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage

GOAL = "works again within the probe interval (30 s) + 1 s"
HEALING_S = 1.0
WATCHED_S = 60.0


async def _locked_out(stage: Stage, revoke: Callable[[], Awaitable[None]]) -> Finding:
    await stage.start()
    await stage.sleep(4)
    mark = stage.lane.audit.now()
    began = time.monotonic()
    await revoke()
    old = stage.application.tries[-1].user
    healed_s = await stage.good_again(began, but=old, within_s=WATCHED_S)
    await stage.sleep(2)
    mints = stage.lane.mints(mark)
    figures = {"locked_out_s": healed_s, "mints": mints}
    if healed_s is None:
        return Finding(said=f"not within {WATCHED_S:.0f} s", good=False, figures=figures)
    return Finding(
        said=f"locked out for {healed_s:.1f} s, {mints} new credential{'s' * (mints != 1)}",
        good=healed_s <= stage.probe_s + HEALING_S and mints == 1,
        figures=figures,
    )


@scenario(
    "leases-revoked",
    event="an operator revokes the leases (role TTL 60 s)",
    goal=GOAL,
    rules=Rules(lease_ttl_s=60),
    lasts_s=60,
)
async def leases_revoked(stage: Stage) -> Finding:
    """How long the application is locked out after `vault lease revoke -prefix`."""
    return await _locked_out(stage, stage.lane.revoke_leases)


@scenario(
    "token-revoked",
    event="an operator revokes the token (token TTL 60 s)",
    goal=GOAL,
    rules=Rules(token_ttl_s=60),
    lasts_s=65,
)
async def token_revoked(stage: Stage) -> Finding:
    """How long the application is locked out after its agent's token was revoked."""
    return await _locked_out(stage, stage.lane.revoke_tokens)
