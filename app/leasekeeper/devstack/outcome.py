"""What the demo has shown, and whether that is what Leasekeeper promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from leasekeeper.devstack.observers import (
    Customer,
    DatabaseClient,
    HealthChecker,
    Rotations,
    Tally,
)

FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Observers:
    """Everybody who watches."""

    client: DatabaseClient
    customer: Customer
    health: HealthChecker
    rotations: Rotations


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened. *trouble* is why the demo ended before its time."""

    seconds: float = 0.0
    rotations: int = 0
    overlaps_s: tuple[float, ...] = ()
    token_logins: int = 0
    refused_logins: int = 0
    logins: Tally = field(default_factory=Tally)
    requests: Tally = field(default_factory=Tally)
    checks: Tally = field(default_factory=Tally)
    vault_requests: int = 0
    exit_code: int | None = None
    stopped_in_s: float = 0.0
    left_behind: list[str] = field(default_factory=list)
    trouble: str | None = None

    def take(self, observers: Observers) -> None:
        """Write down what the observers have seen."""
        self.logins = observers.client.logins
        self.requests = observers.customer.requests
        self.checks = observers.health.checks
        self.rotations = observers.rotations.count
        self.overlaps_s = tuple(observers.rotations.overlaps_s)

    @property
    def faults(self) -> list[str]:
        """Whatever somebody noticed."""
        return [*self.logins.faults, *self.requests.faults, *self.checks.faults]

    @property
    def shortcoming(self) -> str | None:
        """What keeps this from being a proof, or None."""
        if self.trouble is not None:
            return self.trouble
        if self.faults or self.refused_logins:
            return "there were failures"
        if not self.rotations:
            return "no credential rotated in this time"
        if self.exit_code != 0 or self.left_behind:
            return "not everything ended as it should"
        return None

    @property
    def good(self) -> bool:
        """Whether credentials rotated and nobody noticed."""
        return self.shortcoming is None

    def summary(self) -> Iterator[str]:
        """Yield the lines that end the demo."""
        yield ""
        yield f"In {self.seconds:.0f} seconds:"
        for name, value in (
            ("rotations", f"{self.rotations}"),
            ("old credentials", _overlaps(self.overlaps_s)),
            ("token logins", f"{self.token_logins}, {self.refused_logins} refused"),
            ("Vault requests", f"{self.vault_requests}"),
            ("PostgreSQL", _told(self.logins, "logins with what was on disk", "refused")),
            ("application", _told(self.requests, "requests for /coffees", "failed")),
            ("health", _told(self.checks, "checks", "failed")),
            ("Leasekeeper", f"ended in {self.stopped_in_s:.1f} s with code {self.exit_code}"),
            ("left behind", ", ".join(self.left_behind) or "no process, no file"),
        ):
            yield f"  {name:16} {value}"
        yield from (f"  failure          {fault}" for fault in self.faults[:FAULTS_SHOWN])
        yield "Proven." if self.good else f"Not proven: {self.shortcoming}."


def _overlaps(overlaps_s: tuple[float, ...]) -> str:
    if not overlaps_s:
        return "none has ended"
    shortest, longest = min(overlaps_s), max(overlaps_s)
    return f"worked for another {shortest:.1f} s to {longest:.1f} s beside the new ones"


def _told(tally: Tally, what: str, failed: str) -> str:
    return f"{tally.tried} {what}, {len(tally.faults)} {failed}"
