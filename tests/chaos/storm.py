"""Random faults from a seed, and what must never happen meanwhile, seen from outside.

A time without a login is excused only while Vault could not be used, and for 3 s after (15 s, if
it was only logins or only the database that failed); after a
revocation, until the probe must have seen it; and after a kill, for as long as a start may take. A
user that PostgreSQL would let in by name and date, and yet refuses, is never excused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from leasekeeper.devstack.faults import Fault, Kind
from tests.chaos.application import Span
from tests.chaos.registry import Finding
from tests.chaos.stage import Stage

PROBE_INTERVAL_S = 2.0
RECOVERY_S = 3.0
# What fails alone, while Vault serves everything else, tells nobody when it is back: it is tried
# again at least this often (docs/lifecycle.md).
RETRY_S = 15.0
# A start on a busy machine, with answers that are slow as well.
STARTING_S = 5.0
HEALING_S = PROBE_INTERVAL_S + 1.0
# A few periods of the application, and of whoever looks at PostgreSQL's users.
TOLERANCE_S = 0.3
CALM_S = (0.0, 8.0)
BROKEN_S = (0.2, 12.0)
END_S = 6.0
MOST_REQUESTS_A_MINUTE = 240.0


@dataclass(slots=True)
class Excuse:
    """A time in which a login may fail."""

    begin: float
    end: float
    why: str


@dataclass(slots=True)
class Storm:
    """Breaks one thing after the other on a stage."""

    stage: Stage
    excuses: list[Excuse] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    async def rage(self, seconds: float) -> None:
        """Break things for *seconds*, then let it be calm for a moment."""
        while time.monotonic() < self.began + seconds:
            await asyncio.sleep(self.stage.rng.uniform(*CALM_S))
            name, strike = self.stage.rng.choice(list(FAULTS.items()))
            self.faults.append(name)
            self.stage.note(f"{time.monotonic() - self.began:.1f} s: {name}")
            await strike(self)
        await asyncio.sleep(END_S)

    # -- the faults -----------------------------------------------------------------------------

    def _time(self, shortest: float = BROKEN_S[0], longest: float = BROKEN_S[1]) -> float:
        return self.stage.rng.uniform(shortest, longest)

    def _excuse(self, begin: float, after_s: float, why: str) -> None:
        self.excuses.append(Excuse(begin, time.monotonic() + after_s, why))

    async def refuse(self) -> None:
        """No connection."""
        began = time.monotonic()
        await self.stage.lane.wire.refuse()
        await asyncio.sleep(self._time())
        await self.stage.lane.wire.start()
        self._excuse(began, RECOVERY_S, "refused")

    async def go_silent(self) -> None:
        """A black hole."""
        began = time.monotonic()
        self.stage.lane.wire.silence()
        await asyncio.sleep(self._time())
        self.stage.lane.wire.speak()
        self._excuse(began, RECOVERY_S, "silent")

    async def seal(self) -> None:
        """Every answer is 503."""
        began = time.monotonic()
        await self._during("status", self._time(), status=503, errors=("Vault is sealed",))
        self._excuse(began, RECOVERY_S, "sealed")

    async def throttle(self) -> None:
        """Every answer is 429."""
        began = time.monotonic()
        await self._during("status", self._time(), status=429, headers={"Retry-After": "1"})
        self._excuse(began, RECOVERY_S, "throttled")

    async def slow(self) -> None:
        """Every answer is half a second late. No excuse."""
        await self._during("delay", self._time(), seconds=0.5)

    async def lose_answers(self) -> None:
        """What Vault did is not heard of, a few times. No excuse."""
        await self._during("drop_answer", 3, times=self.stage.rng.randint(1, 3))

    async def lose_requests(self) -> None:
        """Connections break before Vault hears anything, a few times. No excuse."""
        await self._during("drop", 3, times=self.stage.rng.randint(1, 3))

    async def forbid_renewals(self) -> None:
        """Leases cannot be renewed. No excuse: they can be made anew."""
        errors = ("1 error occurred:\n\t* permission denied\n\n",)
        path = "/v1/sys/leases/renew"
        await self._during("status", self._time(), path=path, status=403, errors=errors)

    async def break_database(self) -> None:
        """Renewals and new credentials fail as when the database is away."""
        began = time.monotonic()
        paths = "/v1/sys/leases/renew", f"/v1/{self.stage.lane.creds_path}"
        seconds = self._time()
        await asyncio.gather(
            *(self._during("status", seconds, path=path, status=500) for path in paths)
        )
        self._excuse(began, RETRY_S, "no database")

    async def refuse_logins(self) -> None:
        """Nobody can log in."""
        began = time.monotonic()
        await self._during("status", self._time(), path="/v1/auth/aws/login", status=500)
        self._excuse(began, RETRY_S, "no login")

    async def revoke_leases(self) -> None:
        """An operator revokes the leases."""
        began = time.monotonic()
        await self.stage.lane.revoke_leases()
        self._excuse(began, HEALING_S, "leases revoked")

    async def revoke_token(self) -> None:
        """An operator revokes the token."""
        began = time.monotonic()
        await self.stage.lane.revoke_tokens()
        self._excuse(began, HEALING_S, "token revoked")

    async def kill(self) -> None:
        """SIGKILL, and a start a moment later."""
        await self._restart(self.stage.program.kill)

    async def terminate(self) -> None:
        """SIGTERM, and a start a moment later."""
        await self._restart(self.stage.program.stop)

    async def _restart(self, end: Callable[[], Awaitable[None]]) -> None:
        began = time.monotonic()
        await end()
        await asyncio.sleep(self._time(0, 2))
        await self.stage.program.start()
        self._excuse(began, STARTING_S, "restarted")

    async def _during(self, kind: Kind, lasts_s: float, /, **details: Any) -> None:
        details.setdefault("times", None)
        fault = Fault(kind=kind, **details)
        self.stage.lane.gateway.faults.add(fault)
        await asyncio.sleep(lasts_s)
        self.stage.lane.gateway.faults.remove(fault)

    # -- the judgement ----------------------------------------------------------------------------

    async def judge(self) -> Finding:
        """Say what was found."""
        stage, lane = self.stage, self.stage.lane
        healthy = await stage.settled(0)
        minutes = (time.monotonic() - self.began) / 60
        mints, logins = lane.mints(), lane.audit.logins()
        requests = lane.gateway.count() / minutes
        most = 2 + minutes * 60 / 8 + 2 * len(self.faults)
        wrong = self._unexcused()
        problems = [
            *(wrong[:10]),
            *self._bad_reads(),
            *([] if healthy else ["not healthy at the end"]),
            *([f"{mints} mints"] if mints > most else []),
            *([f"{logins} logins"] if logins > most else []),
            *([f"{requests:.0f} requests a minute"] if requests > MOST_REQUESTS_A_MINUTE else []),
            *(f"left: {path.name}" for path in stage.conf.parent.iterdir() if path != stage.conf),
        ]
        tried = len(stage.application.tries)
        return Finding(
            said=f"{len(self.faults)} faults in {minutes:.0f} min, seed {stage.seed}: {tried:,} "
            f"logins, {len(wrong) or 'none'} refused without excuse, {mints} new credentials, "
            f"{logins} logins to Vault, {requests:.0f} requests a minute",
            good=not problems,
            figures={
                "seed": stage.seed, "minutes": round(minutes, 1), "faults": len(self.faults),
                "tried": tried, "mints": mints, "logins": logins,
                "requests_a_minute": round(requests), "problems": problems,
            },
        )  # fmt: skip

    def _bad_reads(self) -> list[str]:
        counts = {how: self.stage.application.count(how) for how in ("torn", "absent")}
        return [f"{count} {how} reads" for how, count in counts.items() if count]

    def _unexcused(self) -> list[str]:
        return [
            f"at {gap.begin - self.began:.1f} s for {gap.seconds:.2f} s: {why}"
            for gap in self.stage.application.gaps()
            if (why := self._fault_of(gap))
        ]

    def _fault_of(self, gap: Span) -> str:
        """Return what is wrong about a time without a login; an empty string if nothing is."""
        if self.stage.users.works(gap.users[0], gap.begin):
            return f"{gap.users[0]} was refused though it was there and valid"
        unexcused_s = self._outside(gap.begin, gap.end)
        return f"{unexcused_s:.2f} s of it unexcused" if unexcused_s > TOLERANCE_S else ""

    def _outside(self, begin: float, end: float) -> float:
        """Return how much of a time is covered by no excuse."""
        left = 0.0
        for excuse in sorted(self.excuses, key=lambda one: one.begin):
            if excuse.end <= begin or excuse.begin >= end:
                continue
            left += max(excuse.begin - begin, 0.0)
            begin = max(begin, excuse.end)
        return left + max(end - begin, 0.0)


FAULTS: dict[str, Callable[[Storm], Awaitable[None]]] = {
    strike.__name__: strike
    for strike in (
        Storm.refuse, Storm.go_silent, Storm.seal, Storm.throttle, Storm.slow,
        Storm.lose_answers, Storm.lose_requests, Storm.forbid_renewals, Storm.break_database,
        Storm.refuse_logins, Storm.revoke_leases, Storm.revoke_token, Storm.kill, Storm.terminate,
    )
}  # fmt: skip
