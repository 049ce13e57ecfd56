"""Simulate a fleet, compare the model with a real server: ``python -m benchmarks.fleet --help``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.fleet import page
from benchmarks.fleet.check import compare
from benchmarks.fleet.figures import COSTLY, figures, leases_held, per_second
from benchmarks.fleet.model import Terms
from benchmarks.fleet.simulation import Log, Scenario, simulate
from leasekeeper.telemetry import events

DOCS = Path(__file__).parent.parent.parent / "docs"
RESULTS = DOCS / "fleet" / "results.json"
HOUR = 3600.0
FOR_EVER = 1e9
# Tasks simulated at a time: small heaps are quick.
_PART = 500
# With fewer tasks the busiest second says more about chance than about a fleet.
_FEWEST = 500

_FLEET = Scenario(
    tasks=10_000,
    terms=Terms(token_ttl=HOUR, token_max_ttl=FOR_EVER, lease_ttl=HOUR, lease_max_ttl=1.5 * HOUR),
    end_s=7_800,
    outage=(6_000, 6_600),
)
SCENARIOS = {
    "fleet": _FLEET,
    # Nothing is left to chance here, so a tenth of the tasks says the same.
    "without jitter": replace(_FLEET, tasks=1_000, weight=10, jitter=False),
    "shared: leader": replace(_FLEET, tasks=500),
    "no probes": replace(_FLEET, settings={"probe": {"interval": "0"}}),
    "TTL of 10 minutes": replace(
        _FLEET,
        tasks=5_000,
        weight=2,
        terms=Terms(token_ttl=600, token_max_ttl=FOR_EVER, lease_ttl=600, lease_max_ttl=1200),
        outage=(2_400, 3_000),
        end_s=3_600,
    ),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet",
        description="Simulate 10,000 tasks in virtual time, and play a small fleet against a real "
        "OpenBao to check the model. A full run writes docs/fleet.md and its plots anew.",
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of the tasks, no server")
    parser.add_argument(
        "--scale",
        type=int,
        default=1,
        metavar="N",
        help="let each simulated task stand for N, on a slow machine; chance then weighs more",
    )
    parser.add_argument("--only", choices=[*SCENARIOS, "check"], help="print this one alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser.parse_args()


def _quiet() -> None:
    events.configure("error")


def _simulate(scenarios: dict[str, Scenario], jobs: int) -> dict[str, Log]:
    """Return the log of each scenario, simulated in parts."""
    logs = {name: Log(requests={}) for name in scenarios}
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        parts = {}
        for name, scenario in scenarios.items():
            step = -(-scenario.tasks // _PART)
            for first in range(step):
                members = range(first, scenario.tasks, step)
                parts[pool.submit(simulate, scenario, members)] = name
        for done, part in enumerate(as_completed(parts), 1):
            logs[parts[part]] += part.result()
            _tell(time.monotonic() - began, done, len(parts))
    return logs


def _scaled(scenario: Scenario, scale: int) -> Scenario:
    scale = min(scale, max(scenario.tasks // _FEWEST, 1))
    return replace(scenario, tasks=scenario.tasks // scale, weight=scenario.weight * scale)


def _tell(took_s: float, done: int, parts: int) -> None:
    left_s = took_s / done * (parts - done)
    told = f"[{took_s:4.0f} s] {done} of {parts} parts, {left_s:.0f} s left"
    print(told, file=sys.stderr, flush=True)


def _result(scenario: Scenario, log: Log) -> dict[str, Any]:
    end = scenario.end_s
    return {
        "tasks": scenario.tasks,
        "weight": scenario.weight,
        "figures": asdict(figures(scenario, log)),
        "requests": {kind: sum(counts.values()) for kind, counts in sorted(log.requests.items())},
        "all": _points(per_second(log, end)),
        "costly": _points(per_second(log, end, COSTLY)),
        "leases": _points(leases_held(log, end)),
    }


def _points(counts: list[int]) -> list[int]:
    return [max(counts[at : at + page.POINT_S]) for at in range(0, len(counts), page.POINT_S)]


def main() -> None:
    """Simulate, compare, print and write."""
    options = _arguments()
    scenarios = {
        name: scenario for name, scenario in SCENARIOS.items() if options.only in (None, name)
    }
    scale = 20 if options.quick else options.scale
    scenarios = {name: _scaled(scenario, scale) for name, scenario in scenarios.items()}
    logs = _simulate(scenarios, options.jobs)
    results: dict[str, Any] = {
        "scenarios": {name: _result(scenarios[name], log) for name, log in logs.items()}
    }
    if options.only == "check" or not (options.only or options.quick):
        _quiet()
        results["check"] = asyncio.run(compare())
    print(page.text_of(results))
    if not (options.only or options.quick):
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(results, separators=(",", ":")) + "\n", encoding="utf-8")
        page.write(results, DOCS)


if __name__ == "__main__":
    main()
