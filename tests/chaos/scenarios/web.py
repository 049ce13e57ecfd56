"""The HTTP server is busy: what that costs the leases."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.lane import Rules
from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Subject

ROOT = Path(__file__).parents[3]
LASTS_S = 40.0
SLOW_CLIENTS = 1000
GOAL_S = 0.5


@scenario(
    "busy-health",
    event="as many requests of /health as it answers, beside 1,000 slow clients (role TTL 6 s)",
    goal="every renewal within 0.5 s of its time, no failed login",
    rules=Rules(lease_ttl_s=6),
    subjects=(Subject.LEASEKEEPER,),
    lasts_s=LASTS_S + 10,
    heavy=True,
)
async def busy_health(stage: Stage) -> Finding:
    """A storm of health checks on the same event loop that renews."""
    await stage.start()
    quiet = await _renewals(stage)
    told = await _hammer(stage.program.port, stage.s(LASTS_S))
    after = await _renewals(stage)
    count = after["all"] - quiet["all"]
    late = count - (after["in_time"] - quiet["in_time"])
    mean_ms = (after["sum"] - quiet["sum"]) / max(count, 1) * 1000
    refused = stage.application.count("refused")
    return Finding(
        said=f"{told['per_second']:,} answers a second (p99 {told['p99_ms']:.0f} ms); "
        f"{count:.0f} renewals {mean_ms:.0f} ms after their time, {late:.0f} later than 500 ms; "
        f"{refused or 'no'} failed logins",
        good=count > 0 and late == 0 and refused == 0,
        figures={**told, "renewals": count, "mean_ms": round(mean_ms, 1), "late": late},
    )


async def _renewals(stage: Stage) -> dict[str, float]:
    """Return how many renewals there were, how many within `GOAL_S`, and their delays' sum."""
    url = f"http://127.0.0.1:{stage.program.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        families = text_string_to_metric_families(await answer.text())
    name = "leasekeeper_lease_renewal_delay_seconds"
    samples = [one for family in families if family.name == name for one in family.samples]
    buckets = {one.labels["le"]: one.value for one in samples if one.name.endswith("_bucket")}
    total = sum(one.value for one in samples if one.name.endswith("_sum"))
    return {
        "all": buckets.get("+Inf", 0.0),
        "in_time": buckets.get(str(GOAL_S), 0.0),
        "sum": total,
    }


async def _hammer(port: int, seconds: float) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.chaos.hammer", str(port), str(seconds), str(SLOW_CLIENTS)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    told: dict[str, float] = json.loads(said)
    return told
