"""Plays scenarios in one local world, several beside each other, each with its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from leasekeeper.devstack.world import World
from tests.chaos.lane import Lane
from tests.chaos.registry import Finding, Scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Subject
from tests.chaos.witness import DatabaseUsers

# What starts, and stops in good order, take beside the time of the scenario itself.
GRACE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    seed: int
    factor: float = 1.0
    minutes: float = 3.0
    at_once: int = 8
    keep: Path | None = None
    """Where logs are kept; None is nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one scenario found about one subject."""

    scenario: str
    event: str
    goal: str
    subject: str
    seconds: float
    finding: Finding

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "finding": asdict(self.finding)}


class Runner:
    """Plays scenarios; *say* shows progress."""

    def __init__(self, world: World, options: Options, say: Callable[[str], None]) -> None:
        self._world = world
        self._options = options
        self._say = say
        self._users = DatabaseUsers(world.postgres)
        self._free = asyncio.Semaphore(options.at_once)
        self._heavy = asyncio.Semaphore(1)
        # PostgreSQL does not take two changes of its roles at once.
        self._opening = asyncio.Lock()

    async def run(self, scenarios: Sequence[Scenario], subjects: Sequence[Subject]) -> list[Result]:
        """Play each scenario for each subject; what lasts longest begins."""
        chosen = [
            (scenario, subject)
            for scenario in scenarios
            for subject in subjects
            if subject in scenario.subjects
        ]
        by_length = sorted(range(len(chosen)), key=lambda number: -self._lasts_s(chosen[number][0]))
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._users.watch())
            jobs = {
                number: group.create_task(self._in_turn(number, *chosen[number]))
                for number in by_length
            }
            results = [await jobs[number] for number in range(len(chosen))]
            watch.cancel()
        return results

    def _lasts_s(self, scenario: Scenario) -> float:
        return scenario.lasts_s * self._options.factor or self._options.minutes * 60

    async def _in_turn(self, number: int, scenario: Scenario, subject: Subject) -> Result:
        async with self._heavy if scenario.heavy else self._free:
            title = f"{scenario.name} / {subject}"
            self._say(f"{title}: begins, about {self._lasts_s(scenario):.0f} s")
            began = time.monotonic()
            finding = await self._play(f"c{number:02}", scenario, subject)
            verdict = "good" if finding.good else "NOT GOOD"
            self._say(f"{title}: {finding.said} ({verdict})")
        return Result(
            scenario=scenario.name,
            event=scenario.event,
            goal=scenario.goal,
            subject=subject,
            seconds=round(time.monotonic() - began, 1),
            finding=finding,
        )

    async def _play(self, name: str, scenario: Scenario, subject: Subject) -> Finding:
        directory = self._world.directory / name
        directory.mkdir()
        options = self._options
        lane = Lane(self._world, name, scenario.rules, options.factor)
        stage = Stage(
            scenario=scenario,
            subject=subject,
            lane=lane,
            users=self._users,
            directory=directory,
            rng=Random(f"{options.seed} {scenario.name}"),
            factor=options.factor,
            minutes=options.minutes,
            seed=options.seed,
            note=lambda text: self._say(f"{scenario.name} / {subject}: {text}"),
        )
        try:
            async with (
                asyncio.timeout(self._lasts_s(scenario) + GRACE_S),
                AsyncExitStack() as stack,
            ):
                async with self._opening:
                    await lane.open()
                stack.push_async_callback(lane.close)
                stack.push_async_callback(stage.close)
                return await scenario.play(stage)
        except TimeoutError:
            return Finding(said="did not come to an end in time", good=False)
        except Exception as error:  # noqa: BLE001 - one scenario must not take the others along
            return Finding(said=f"the scenario failed: {error!r}", good=False)
        finally:
            self._keep(stage, f"{scenario.name}.{subject}")

    def _keep(self, stage: Stage, name: str) -> None:
        """Copy the logs to where they are kept: without secrets, as the program's own log is."""
        if self._options.keep is None:
            return
        self._options.keep.mkdir(parents=True, exist_ok=True)
        for log in stage.directory.glob("*.log"):
            target = self._options.keep / f"{name}.{log.stem}.log"
            target.write_bytes(log.read_bytes())
