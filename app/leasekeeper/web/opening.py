"""What there is to show while the state of the last run is read, and from then on.

Reading may wait for a process that is being replaced, for a disk or for KMS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from leasekeeper import __version__
from leasekeeper.web import gauges
from leasekeeper.web.report import Health, Reporter

if TYPE_CHECKING:
    from leasekeeper.web.document import Status

_REASON = "the state of the last run is being read"


@dataclass(slots=True)
class Opening:
    """Shows that, and later the *work*."""

    work: Reporter | None = None

    @property
    def settled(self) -> bool:
        """Whether every file has been in place once."""
        return self.work is not None and self.work.settled

    def health(self) -> Health:
        """Return the state of the whole process."""
        return Health.STARTING if self.work is None else self.work.health()

    def health_json(self) -> dict[str, Any]:
        """Return the body of /health."""
        if self.work is not None:
            return self.work.health_json()
        return {
            "status": "fail",
            "state": Health.STARTING.value,
            "version": __version__,
            "reasons": [_REASON],
            "expired": [],
            "outage_budget_seconds": None,
            "outputs": {},
        }

    def status(self) -> Status:
        """Return the answer of /status."""
        if self.work is not None:
            return self.work.status()
        from leasekeeper.web.standby_status import status_of

        return status_of(self.health_json())

    def collector(self) -> Collector:
        """Return what makes metrics of the state, as of each scrape."""
        return _OpeningCollector(self)


class _OpeningCollector(Collector):
    def __init__(self, view: Opening) -> None:
        self._view = view
        self._of_work: Collector | None = None

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        if self._view.work is None:
            return [gauges.build(), gauges.health_state(self._view.health())]
        self._of_work = self._of_work or self._view.work.collector()
        return self._of_work.collect()
