"""Faults and kills at random moments."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.storm import PROBE_INTERVAL_S, Storm
from tests.chaos.subjects import Plan, Subject

KILLS = 200
# So long, in starts, a life lasts at most: half of them end before anything is published.
LONGEST_LIFE = 2.0
# A credential whose answer was under way when the program was killed is known to nobody.
LOST_AT_MOST = 0.1
SECONDS_TO_START = 5.0
# On a busy machine there are fewer kills instead.
LASTS_S = 240.0


@scenario(
    "killed-at-random",
    event=f"SIGKILL up to {KILLS} times, at random moments of the start and just after",
    goal=f"leases do not pile up (at most {LOST_AT_MOST:.0%} of the kills), "
    "the file always whole, no failed login, no temporary file left",
    lasts_s=LASTS_S,
    heavy=True,
)
async def killed_at_random(stage: Stage) -> Finding:
    """A crash loop: what it costs Vault, and whether a reader notices."""
    began = time.monotonic()
    plan = Plan(files={stage.conf: stage.lane.application_template()}, state=True)
    await stage.start(plan, application=False)
    start_s = time.monotonic() - began
    await stage.start_application()
    kills, most = 0, max(round(stage.s(KILLS)), 5)
    while kills < most and time.monotonic() - began < stage.s(LASTS_S):
        kills += 1
        await stage.program.kill()
        await stage.program.start()
        await asyncio.sleep(stage.rng.uniform(0, LONGEST_LIFE * start_s))
    await stage.settled(SECONDS_TO_START)
    leases = len(await stage.lane.leases())
    bad = {how: stage.application.count(how) for how in ("refused", "torn", "absent")}
    left = sum(path != stage.conf for path in stage.conf.parent.iterdir())
    return Finding(
        said=f"{leases} live lease{'s' * (leases != 1)} after {kills} kills, "
        f"{left or 'no'} file{'s' * (left != 1)} left behind, "
        f"{sum(bad.values()) or 'no'} bad read or login",
        good=leases <= 1 + LOST_AT_MOST * kills and not any(bad.values()) and not left,
        figures={
            "kills": kills,
            "leases": leases,
            "left": left,
            **bad,
            "start_s": round(start_s, 2),
            "mints": stage.lane.mints(),
        },
    )


@scenario(
    "random-faults",
    event="random faults, one after the other (TTLs 10 and 20 s, max 30 and 45 s)",
    goal="no torn read, no login refused that should work, bounded requests",
    rules=Rules(token_ttl_s=20, token_max_ttl_s=45, lease_ttl_s=10, lease_max_ttl_s=30),
    subjects=(Subject.LEASEKEEPER,),
    lasts_s=0,
)
async def random_faults(stage: Stage) -> Finding:
    """Random faults from a seed, for as long as asked; what must never happen is looked for."""
    await stage.start(
        Plan(
            files={stage.conf: stage.lane.application_template()},
            probe_interval_s=PROBE_INTERVAL_S,
            state=True,
        )
    )
    storm = Storm(stage)
    await storm.rage(stage.minutes * 60)
    return await storm.judge()
