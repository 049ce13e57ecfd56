"""What a scenario is played with: one lane, one program, one application."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import aiohttp

from leasekeeper.devstack.faults import Fault, Kind
from leasekeeper.devstack.processes import Child
from tests.chaos.application import Application
from tests.chaos.lane import Lane
from tests.chaos.registry import Scenario
from tests.chaos.subjects import PROBE_INTERVAL_S, Plan, Program, Subject, start_application
from tests.chaos.witness import DatabaseUsers

T = TypeVar("T")
POLL_S = 0.02
START_DEADLINE_S = 30.0


@dataclass(slots=True)
class Stage:
    """One scenario for one subject. Whoever opens it closes it."""

    scenario: Scenario
    subject: Subject
    lane: Lane
    users: DatabaseUsers
    directory: Path
    rng: Random
    factor: float
    program: Program = field(init=False)
    application: Application = field(init=False)
    minutes: float = 3.0
    """How long the scenarios of random faults last."""
    seed: int = 0
    note: Callable[[str], None] = print
    _application_process: Child | None = None

    @property
    def ours(self) -> bool:
        """Whether Leasekeeper is put to the test."""
        return self.subject is Subject.LEASEKEEPER

    @property
    def probe_s(self) -> float:
        """Leasekeeper's probe interval here."""
        return PROBE_INTERVAL_S * self.factor

    @property
    def conf(self) -> Path:
        """The file that the application reads."""
        return self.directory / "out" / "conf.json"

    def s(self, seconds: float) -> float:
        """Return *seconds* as long as they are in this run: shorter in a quick one."""
        return seconds * self.factor

    # -- the program and the application ------------------------------------------------------

    async def start(self, plan: Plan | None = None, *, application: bool = True) -> None:
        """Start the program, by default with one file of database credentials, and wait for it.

        :raises TimeoutError: if the files are not there within 30 s.
        :raises RuntimeError: if the program ends instead.
        """
        self.conf.parent.mkdir(exist_ok=True)
        plan = plan or Plan(files={self.conf: self.lane.application_template()})
        self.program = Program(self.subject, self.lane, self.directory, plan)
        await self.program.start()
        async with asyncio.timeout(START_DEADLINE_S):
            await self.until(lambda: self._is_there(plan))
        if application:
            await self.start_application()

    def _is_there(self, plan: Plan) -> bool:
        child = self.program.child
        if child is not None and not child.running:
            raise RuntimeError(f"{self.subject} ended: {child.last_lines(3)}")
        return all(path.exists() for path in plan.files)

    async def start_application(self) -> None:
        """Start the application and wait for its first login.

        :raises TimeoutError: if it has none within 30 s.
        """
        log = self.directory / "application.log"
        log.touch()
        self.application = Application(log)
        self._application_process = start_application(self.lane, self.conf, log)
        async with asyncio.timeout(START_DEADLINE_S):
            await self.until(lambda: bool(self.application.count("ok")))

    async def close(self) -> None:
        """End the processes."""
        if self._application_process is not None:
            await self._application_process.stop()
        if hasattr(self, "program"):
            await self.program.stop()

    # -- waiting --------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], T | None]) -> T:
        """Wait until *holds* returns something true, and return that."""
        while not (found := holds()):
            await asyncio.sleep(POLL_S)
        return found

    async def eventually(self, holds: Callable[[], T | None], *, within_s: float) -> T | None:
        """Wait as `until` does, but not longer than *within_s*; None says that it did not come."""
        try:
            async with asyncio.timeout(within_s):
                return await self.until(holds)
        except TimeoutError:
            return None

    async def sleep(self, seconds: float) -> None:
        """Let time pass: scaled, as all times of a scenario."""
        await asyncio.sleep(self.s(seconds))

    async def good_again(self, since: float, *, but: str = "", within_s: float) -> float | None:
        """Return after how many seconds an application could log in again, or None."""
        found = await self.eventually(
            lambda: self.application.good_after(since, but=but), within_s=within_s
        )
        return None if found is None else found.at - since

    async def settled(self, pause_s: float) -> bool:
        """Wait for Leasekeeper to be healthy, 30 s at most; others are given *pause_s*."""
        if not self.ours:
            await asyncio.sleep(pause_s)
            return True
        url = f"http://127.0.0.1:{self.program.port}/health"
        deadline = time.monotonic() + START_DEADLINE_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if (await answer.json())["state"] == "healthy":
                            return True
                await asyncio.sleep(POLL_S)
        return False

    # -- breaking things --------------------------------------------------------------------------

    async def during(self, kind: Kind, lasts_s: float, /, **details: Any) -> Fault:
        """Let a fault befall requests for *lasts_s* (scaled) and return it."""
        fault = Fault(kind=kind, times=None, **details)
        self.lane.gateway.faults.add(fault)
        try:
            await self.sleep(lasts_s)
        finally:
            self.lane.gateway.faults.remove(fault)
        return fault
