"""Does anything grow? Leasekeeper for many minutes with short TTLs: `python -m tests.chaos.soak`.

Everything that rotates does: database credentials (10 s, max 30 s), the token (20 s, max 45 s), a
static role (10 s), a certificate (20 s), a value in KV (written every 5 s). The application logs in
all the while. Flat means that the last third of the time is, in the median, no more than a little
above the second third; the first is for warming up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
import psutil

from leasekeeper.devstack.world import World
from tests.chaos.lane import Lane, Rules
from tests.chaos.machine import describe
from tests.chaos.registry import Finding, Scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan, Subject
from tests.chaos.witness import DatabaseUsers

SAMPLE_S = 2.0
WRITE_S = 5.0
SAY_S = 60.0
MIB = 2**20
# What the last third may be above the second one: a share of it, and an amount.
ALLOWED = {
    "memory (RSS, MiB)": (0.01, 1.0),
    "file descriptors": (0.0, 2.0),
    "threads": (0.0, 1.0),
    "tasks": (0.0, 2.0),
}
RULES = Rules(
    token_ttl_s=20, token_max_ttl_s=45, lease_ttl_s=10, lease_max_ttl_s=30, static_rotation_s=10
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process has at one moment, in the order of `ALLOWED`."""

    at: float
    memory_mib: float
    descriptors: float
    threads: float
    tasks: float

    @property
    def values(self) -> tuple[float, ...]:
        """The figures, in the order of `ALLOWED`."""
        return (self.memory_mib, self.descriptors, self.threads, self.tasks)


class Sampler:
    """Takes samples of one process."""

    def __init__(self, stage: Stage) -> None:
        assert stage.program.child is not None
        self._process = psutil.Process(stage.program.child.pid)
        self._url = f"http://127.0.0.1:{stage.program.port}/metrics"
        self.samples: list[Sample] = []

    async def run(self, seconds: float) -> None:
        """Take samples for *seconds*."""
        end = time.monotonic() + seconds
        said = time.monotonic()
        while time.monotonic() < end:
            sample = await self._take()
            self.samples.append(sample)
            if time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                print(f"{end - said:5.0f} s to go: {_words(sample)}", flush=True)
            await asyncio.sleep(SAMPLE_S)

    async def _take(self) -> Sample:
        # A connection of its own each time, as a scraper that comes once a minute has.
        async with aiohttp.ClientSession() as session, session.get(self._url) as answer:
            tasks = _metric(await answer.text(), "leasekeeper_tasks")
        process = self._process
        return Sample(
            time.monotonic(),
            process.memory_info().rss / MIB,
            process.num_fds(),
            process.num_threads(),
            tasks,
        )


def _words(sample: Sample) -> str:
    return ", ".join(
        f"{name} {value:g}" for name, value in zip(ALLOWED, sample.values, strict=True)
    )


def _metric(text: str, name: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def flatness(samples: list[Sample]) -> Iterator[tuple[str, dict[str, float | bool]]]:
    """Compare the thirds; *good* says that a figure does not grow."""
    third = len(samples) // 3
    for number, (name, (share, amount)) in enumerate(ALLOWED.items()):
        values = [sample.values[number] for sample in samples]
        before, after = median(values[third : 2 * third]), median(values[-third:])
        most = before * (1 + share) + amount
        yield (
            name,
            {
                "before": round(before, 1),
                "after": round(after, 1),
                "most": round(most, 1),
                "good": after <= most,
            },
        )


async def soak(minutes: float) -> dict[str, Any]:
    """Run for *minutes* and return what was measured."""
    async with World() as world, asyncio.TaskGroup() as group:
        users = DatabaseUsers(world.postgres)
        lane = Lane(world, "soak", RULES, 1.0)
        stage = _stage(lane, users)
        stage.directory.mkdir()
        await lane.open()
        writing = group.create_task(_write(lane))
        try:
            await lane.write_kv("changing", value="0")
            await stage.start(_plan(stage))
            sampler = Sampler(stage)
            await sampler.run(minutes * 60)
            return _told(stage, sampler.samples, minutes)
        finally:
            writing.cancel()
            await stage.close()
            await lane.close()


async def _write(lane: Lane) -> None:
    number = 0
    while True:
        number += 1
        await lane.write_kv("changing", value=str(number))
        await asyncio.sleep(WRITE_S)


def _stage(lane: Lane, users: DatabaseUsers) -> Stage:
    async def nothing(_stage: Stage) -> Finding:
        raise NotImplementedError

    scenario = Scenario(name="soak", event="", goal="", lasts_s=0, play=nothing, rules=RULES)
    return Stage(
        scenario=scenario,
        subject=Subject.LEASEKEEPER,
        lane=lane,
        users=users,
        directory=lane.world.directory / "soak",
        rng=Random(0),
        factor=1.0,
    )


def _plan(stage: Stage) -> Plan:
    lane, folder = stage.lane, stage.conf.parent
    issue = '{{ with secret "pki/issue/product" "common_name=soak.product.internal" "ttl=20s" }}'
    changing = f'{{{{ with secret "secret/data/{lane.name}/changing" }}}}'
    return Plan(
        files={
            stage.conf: lane.application_template(),
            folder / "static.json": lane.application_template(static=True),
            folder / "certificate.pem": issue + "{{ .Data.certificate }}{{ end }}\n",
            folder / "key.pem": issue + "{{ .Data.private_key }}{{ end }}\n",
            folder / "changing": changing + "{{ .Data.data.value }}{{ end }}\n",
        },
        kv_interval_s=1.0,
        probe_interval_s=2.0,
        state=True,
    )


def _told(stage: Stage, samples: list[Sample], minutes: float) -> dict[str, Any]:
    tries = list(stage.application.tries)
    return {
        "machine": describe(),
        "minutes": minutes,
        "samples": len(samples),
        "flat": dict(flatness(samples)),
        "logins": len(tries),
        "bad": sum(one.how != "ok" for one in tries),
        "rotations": stage.lane.mints(),
        "token_logins": stage.lane.audit.logins(),
        "series": [asdict(sample) for sample in samples],
    }


def main() -> int:
    """Run the soak; 0 says that nothing grew and no login failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    asked = parser.parse_args()
    told = asyncio.run(soak(asked.minutes))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for name, row in told["flat"].items():
        verdict = "flat" if row["good"] else "GROWS"
        print(f"{name:20} {row['before']:8g} {row['after']:8g} at most {row['most']:g}: {verdict}")
    print(f"{told['logins']} logins, {told['bad']} bad; {told['rotations']} credentials")
    return int(told["bad"] > 0 or not all(row["good"] for row in told["flat"].values()))


if __name__ == "__main__":
    sys.exit(main())
