"""Vault answers, and says no, not now, or late."""

from __future__ import annotations

import time

from leasekeeper.devstack.faults import Fault
from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage

RENEW = "/v1/sys/leases/renew"
NO_RENEWAL_S = 10.0
BUSY_S = 20.0
RETRY_AFTER_S = 2
SLOW_S = 60.0
LATE_S = 3.0


@scenario(
    "renewal-forbidden",
    event="renewals of the lease are answered 403 (role TTL 30 s)",
    goal="at most 1 new credential in 10 s, no failed login",
    rules=Rules(lease_ttl_s=30),
    lasts_s=40,
)
async def renewal_forbidden(stage: Stage) -> Finding:
    """How many credentials are made in the 10 s after the first refusal."""
    forbidden = Fault(
        kind="status",
        path=RENEW,
        times=None,
        status=403,
        errors=("1 error occurred:\n\t* permission denied\n\n",),
    )
    stage.lane.gateway.faults.add(forbidden)
    await stage.start()
    mark = stage.lane.audit.now()
    # OpenBao's agent renews at once, and may have been refused before the file was there.
    await stage.until(lambda: forbidden.befallen > 0)
    before = stage.lane.mints(0) if mark else 0
    await stage.sleep(NO_RENEWAL_S)
    mints = stage.lane.mints(0) - before
    refused = stage.application.count("refused")
    return Finding(
        said=f"{mints} new credential{'s' * (mints != 1)} in 10 s",
        good=mints <= 1 and refused == 0,
        figures={"mints": mints, "refused": refused, "renewals_asked": forbidden.befallen},
    )


@scenario(
    "too-many-requests",
    event="every answer is 429 with Retry-After: 2 for 20 s, when a renewal is due (TTL 30 s)",
    goal="no failed login, at most one request for each Retry-After and secret",
    rules=Rules(lease_ttl_s=30, token_ttl_s=30),
    lasts_s=60,
)
async def too_many_requests(stage: Stage) -> Finding:
    """How a server that asks for patience is treated."""
    await stage.start()
    await stage.sleep(8)
    seen = len(stage.lane.gateway.seen)
    await stage.during(
        "status",
        BUSY_S,
        status=429,
        errors=("request path rate limit quota exceeded",),
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
    requests = stage.lane.gateway.count(after=seen)
    await stage.sleep(12)
    refused = stage.application.count("refused")
    # Of the token and of the lease each one, and one by whoever asks whether Vault is back.
    most = 3 * (stage.s(BUSY_S) / RETRY_AFTER_S + 1)
    return Finding(
        said=f"{requests} request{'s' * (requests != 1)} in 20 s, {_logins(refused)}",
        good=refused == 0 and requests <= most,
        figures={"requests": requests, "refused": refused},
    )


@scenario(
    "slow-answers",
    event="every answer takes 3 s longer, for 60 s (TTL 30 s)",
    goal="no failed login",
    rules=Rules(lease_ttl_s=30, token_ttl_s=30),
    lasts_s=90,
)
async def slow_answers(stage: Stage) -> Finding:
    """Whether what is valid stays valid on a slow server."""
    await stage.start()
    began = time.monotonic()
    await stage.during("delay", SLOW_S, seconds=stage.s(LATE_S))
    await stage.sleep(15)
    refused = stage.application.count("refused", since=began)
    return Finding(said=_logins(refused), good=refused == 0, figures={"refused": refused})


def _logins(refused: int) -> str:
    return f"{refused or 'no'} failed login{'s' * (refused != 1)}"
