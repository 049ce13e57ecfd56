"""Health of a task that only reads what another one writes, told by the manifest of that one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from leasekeeper import __version__
from leasekeeper.files.election import Election
from leasekeeper.runtime.clock import wall_time
from leasekeeper.web import gauges
from leasekeeper.web.report import Health, Reporter

if TYPE_CHECKING:
    from leasekeeper.web.document import SharedStatus, Status

_STATUS = {Health.HEALTHY: "pass", Health.DEGRADED: "warn"}


def report_of(reporter: Reporter) -> dict[str, Any]:
    """Return what the leader tells the others; no secret is in it."""
    outputs = {}
    for output in reporter.outputs.outputs:
        end = wall_time(reporter.output_end(output))
        outputs[output.label] = {
            "generation": output.generation,
            "digest": output.digest,
            "valid_until": None if end is None else round(end.timestamp(), 1),
        }
    return {
        "settled": reporter.settled,
        "state": reporter.health().value,
        "reasons": reporter.reasons(),
        "outputs": outputs,
        "written": round(time.time(), 1),
    }


@dataclass(slots=True, kw_only=True)
class Standby:
    """What is in place, as far as the manifest tells and we can see ourselves.

    *missing* are the files that are not there on our side of the volume, *trouble* is what keeps us
    from looking.
    """

    election: Election
    expiry_grace_s: float
    silent_after_s: float
    missing: Sequence[str] = ()
    trouble: str | None = None

    @property
    def report(self) -> dict[str, Any]:
        """What the leader has said last."""
        manifest = self.election.manifest
        return manifest.report if manifest else {}

    @property
    def settled(self) -> bool:
        """Whether every file has been in place once."""
        return self.report.get("settled") is True and not self.missing

    def reasons(self) -> list[str]:
        """Return what is wrong at present, a sentence each."""
        found = [f"the leader: {reason}" for reason in _texts(self.report.get("reasons"))]
        if self.trouble is not None:
            found.append(self.trouble)
        if self.election.silent_s >= self.silent_after_s:
            found.append(f"no leader has been heard of for {self.election.silent_s:.0f} s")
        found += [f"{path} is not there yet" for path in self.missing]
        return found

    def expired(self) -> list[str]:
        """Return the outputs whose file holds something that has stopped working."""
        limit = time.time() - self.expiry_grace_s
        return [label for label, end in self._ends().items() if end <= limit]

    def health(self) -> Health:
        """Return the state as the application in this task should see it."""
        if not self.settled:
            return Health.STARTING
        if self.expired():
            return Health.UNHEALTHY
        return Health.DEGRADED if self.reasons() else Health.HEALTHY

    def health_json(self) -> dict[str, Any]:
        """Return the body of /health."""
        health = self.health()
        ends = self._ends().values()
        return {
            "status": _STATUS.get(health, "fail"),
            "state": health.value,
            "version": __version__,
            "reasons": self.reasons(),
            "expired": self.expired(),
            "outage_budget_seconds": max(min(ends) - time.time(), 0.0) if ends else None,
            "outputs": self.report.get("outputs", {}),
        }

    def status(self) -> Status:
        """Return the answer of /status."""
        from leasekeeper.web.standby_status import status_of

        return status_of(self.health_json())

    def _ends(self) -> dict[str, float]:
        outputs = self.report.get("outputs")
        said = outputs.items() if isinstance(outputs, dict) else ()
        return {
            label: float(each["valid_until"])
            for label, each in said
            if isinstance(each, dict) and isinstance(each.get("valid_until"), int | float)
        }


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


@dataclass(slots=True)
class SharedView:
    """Shows what the manifest tells or, once our own work has settled, that work."""

    standby: Standby
    leading: bool = False
    work: Reporter | None = None

    @property
    def settled(self) -> bool:
        """Whether every file has been in place once."""
        return self._shown.settled

    def health(self) -> Health:
        """Return the state as the application in this task should see it."""
        return self._shown.health()

    def health_json(self) -> dict[str, Any]:
        """Return the body of /health."""
        return {**self._shown.health_json(), "shared": self._shared()}

    def status(self) -> Status:
        """Return the answer of /status."""
        return {**self._shown.status(), "shared": self._shared()}

    def _shared(self) -> SharedStatus:
        manifest = self.standby.election.manifest
        return {
            "leading": self.leading,
            "leader": manifest.leader if manifest else None,
            "term": manifest.term if manifest else 0,
        }

    def collector(self) -> Collector:
        """Return what makes metrics of the state, as of each scrape."""
        return _SharedCollector(self)

    @property
    def _shown(self) -> Standby | Reporter:
        return self.standby if self.work is None else self.work


class _SharedCollector(Collector):
    def __init__(self, view: SharedView) -> None:
        self._view = view

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield gauges.leading(self._view.leading)
        if self._view.work is not None:
            yield from self._view.work.collector().collect()
        else:
            yield gauges.build()
            yield gauges.health_state(self._view.health())
