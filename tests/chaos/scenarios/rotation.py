"""Values that have to change, and do so without anything being broken."""

from __future__ import annotations

import time
from itertools import pairwise

from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan

STATIC_ROTATION_S = 10
STATIC_WATCHED_S = 62.0
LONGEST_WRONG_S = 0.25
# Two tries of the application: what lasts shorter cannot be told from its period.
PERIOD_S = 0.1


@scenario(
    "static-role",
    event="a static role's password is rotated every 10 s",
    goal="wrong password on disk for at most 0.25 s at each rotation",
    rules=Rules(static_rotation_s=STATIC_ROTATION_S),
    lasts_s=70,
)
async def static_role(stage: Stage) -> Finding:
    """How long the file holds the password of before, at each rotation."""
    template = stage.lane.application_template(static=True)
    await stage.start(Plan(files={stage.conf: template}))
    began = time.monotonic()
    await stage.sleep(STATIC_WATCHED_S)
    spans = [round(gap.seconds, 2) for gap in stage.application.gaps(since=began)]
    longest = max(spans, default=0.0)
    said = f"wrong for up to {longest:.2f} s" if spans else "never seen wrong"
    return Finding(
        said=f"{said} at about {round(STATIC_WATCHED_S / STATIC_ROTATION_S)} rotations",
        good=longest <= LONGEST_WRONG_S + PERIOD_S / 2,
        figures={"wrong_s": spans, "longest_s": longest},
    )


@scenario(
    "token-max-ttl",
    event="the token comes to its max TTL (20 s, max 40 s; role TTL 30 s), for 130 s",
    goal="new on disk before the old can end, no failed login",
    rules=Rules(token_ttl_s=20, token_max_ttl_s=40, lease_ttl_s=30),
    lasts_s=140,
)
async def token_max_ttl(stage: Stage) -> Finding:
    """A lease dies with the token that made it: is the next one there in time, and for how long."""
    await stage.start()
    mark = stage.lane.audit.now()
    await stage.sleep(130)
    refused, users = stage.application.count("refused"), stage.application.users()
    overlaps = _overlaps(stage, users)
    mints, logins = stage.lane.mints(mark), stage.lane.audit.logins(since=mark)
    shortest = min(overlaps, default=0.0)
    return Finding(
        said=f"{refused or 'no'} failed login{'s' * (refused != 1)}, old ones worked for another "
        f"{shortest:.1f} s at least ({mints} new credentials, {logins} logins)",
        good=refused == 0 and shortest > 0 and mints <= logins + 1,
        figures={"refused": refused, "overlaps_s": overlaps, "mints": mints, "logins": logins},
    )


def _overlaps(stage: Stage, found: dict[str, float]) -> list[float]:
    """Return for how long each user went on to exist after the next one was on disk."""
    known = stage.users.of(stage.lane.name)
    return [
        round(min(known[old].last_seen, known[old].valid_until) - found[new], 1)
        for old, new in pairwise(found)
        if old in known and known[old].last_seen < time.monotonic() - 2
    ]
