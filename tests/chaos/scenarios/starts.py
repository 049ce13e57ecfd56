"""Starts that cannot succeed."""

from __future__ import annotations

import time

from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan, Program

WATCHED_S = 75.0
DEADLINE_S = 60.0
# The deadline counts from when the configuration has been read.
STARTING_S = 3.0
GOAL = "exits with a code and a reason by the start-up deadline (60 s)"


async def _exit(stage: Stage, plan: Plan) -> Finding:
    stage.conf.parent.mkdir(exist_ok=True)
    program = stage.program = Program(stage.subject, stage.lane, stage.directory, plan)
    child = await program.start()
    began = time.monotonic()
    # The deadline itself is not scaled: it is what is looked at.
    ended = await stage.eventually(lambda: not child.running, within_s=WATCHED_S)
    took_s = time.monotonic() - began
    if ended is None:
        return Finding(said="still running after 75 s", good=False, figures={"exit_code": None})
    reason = [str(event.get("error")) for event in program.events("agent.failed")]
    code = child.exit_code
    return Finding(
        said=f"exit code {code} after {took_s:.1f} s",
        good=bool(reason) and code not in (0, None) and took_s <= DEADLINE_S + STARTING_S,
        figures={"exit_code": code, "seconds": round(took_s, 1), "reason": reason},
    )


@scenario(
    "forbidden-secret",
    event="`exit_after_auth` with one secret that the policy forbids",
    goal=GOAL,
    lasts_s=80,
)
async def forbidden_secret(stage: Stage) -> Finding:
    """One file can be made, the other never."""
    text = '{{ with secret "secret/data/forbidden" }}{{ .Data.data.key }}{{ end }}'
    files = {stage.conf: stage.lane.application_template(), stage.conf.with_name("no"): text}
    return await _exit(stage, Plan(files=files, once=True))


@scenario("no-server", event="`exit_after_auth` and no server", goal=GOAL, lasts_s=80)
async def no_server(stage: Stage) -> Finding:
    """Nobody listens."""
    await stage.lane.wire.refuse()
    plan = Plan(files={stage.conf: stage.lane.application_template()}, once=True)
    return await _exit(stage, plan)
