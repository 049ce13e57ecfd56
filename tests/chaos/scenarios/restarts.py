"""The sidecar ends and is started again, in a task that goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan

RESTARTS = 5
GOAL = "1 lease, 1 database user, 1 token, no failed login"


async def _restarts(stage: Stage, end: Callable[[], Awaitable[None]]) -> Finding:
    await stage.start(Plan(files={stage.conf: stage.lane.application_template()}, state=True))
    for _ in range(RESTARTS):
        await stage.settled(3)
        await end()
        await stage.program.start()
    await stage.settled(5)
    await stage.users.look()
    lane = stage.lane
    failed = sum(one.how != "ok" for one in stage.application.tries)
    leases, tokens = len(await lane.leases()), len(await lane.tokens())
    users = len(stage.users.of(lane.name))
    return Finding(
        said=f"{leases} live lease{'s' * (leases != 1)}, {users} database "
        f"user{'s' * (users != 1)}, {tokens} token{'s' * (tokens != 1)}",
        good=(leases, users, tokens, failed) == (1, 1, 1, 0),
        figures={"leases": leases, "users": users, "tokens": tokens, "failed_logins": failed},
    )


@scenario("killed", event="5 restarts after SIGKILL", goal=GOAL, lasts_s=35)
async def killed(stage: Stage) -> Finding:
    """What is left of five lives that ended without a warning."""
    return await _restarts(stage, lambda: stage.program.kill())


@scenario("terminated", event="5 restarts after SIGTERM", goal=GOAL, lasts_s=35)
async def terminated(stage: Stage) -> Finding:
    """What is left of five lives that ended in good order."""
    return await _restarts(stage, lambda: stage.program.stop())
