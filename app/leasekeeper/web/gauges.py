"""Metrics that are read off the state at scrape time, so that they can never be stale."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from leasekeeper import __version__
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.clock import now, wall_time
from leasekeeper.telemetry.metrics import PREFIX
from leasekeeper.web.gauge_table import (
    APP_UP,
    BUILD,
    CLOCK_OFFSET,
    HEALTH_STATE,
    LEADING,
    OUTAGE_BUDGET,
    OUTPUT_GENERATION,
    OUTPUT_PUBLISHED,
    OUTPUT_UP,
    OUTPUT_VALID,
    SECRET_GENERATION,
    SECRET_KIND,
    SECRET_UP,
    SECRET_VALID,
    TASKS,
    TOKEN_TTL,
    VAULT_UP,
)
from leasekeeper.web.report import Health, Reporter


class StateCollector(Collector):
    """Turns the reporter's view into gauges. Infinity means that something never ends."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect before the loop runs."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield every gauge, as of now."""
        yield build()
        yield health_state(self._reporter.health())
        yield from self._process()
        yield from self._outputs()
        yield from self._secrets()

    def _process(self) -> Iterable[Metric]:
        report = self._reporter
        lease = report.tokens.lease
        ttl = 0.0 if lease is None else max(lease.expires_at - now(), 0.0)
        yield TOKEN_TTL.family(ttl)
        yield OUTAGE_BUDGET.family(report.outage_budget_s())
        yield TASKS.family(float(len(asyncio.all_tasks())))
        yield VAULT_UP.family(float(report.client.reachability.up))
        if report.app is not None:
            yield APP_UP.family(float(report.app.pid is not None))
        offset = report.client.clock_offset_s
        if offset is not None:
            yield CLOCK_OFFSET.family(offset)

    def _outputs(self) -> Iterable[Metric]:
        up, generation = OUTPUT_UP.family(), OUTPUT_GENERATION.family()
        published, valid = OUTPUT_PUBLISHED.family(), OUTPUT_VALID.family()
        expired = set(self._reporter.expired())
        for output in self._reporter.outputs.outputs:
            good = output.outcome in (Outcome.PUBLISHED, Outcome.UNCHANGED)
            up.add_metric([output.label], float(good and output.label not in expired))
            generation.add_metric([output.label], output.generation)
            end = self._reporter.output_end(output)
            valid.add_metric([output.label], max(end - now(), 0.0))
            if output.published_at is not None and (wall := wall_time(output.published_at)):
                published.add_metric([output.label], wall.timestamp())
        yield from (up, generation, published, valid)

    def _secrets(self) -> Iterable[Metric]:
        up, generation = SECRET_UP.family(), SECRET_GENERATION.family()
        valid, kinds = SECRET_VALID.family(), SECRET_KIND.family()
        for name, keeper in self._reporter.keepers().items():
            snapshot = keeper.snapshot
            good = snapshot is not None and keeper.error is None
            up.add_metric([name], float(good))
            generation.add_metric([name], snapshot.generation if snapshot else 0)
            if snapshot is not None:
                end = self._reporter.secrets.end_of(snapshot)
                valid.add_metric([name], max(end - now(), 0.0))
                kinds.add_metric([name, snapshot.kind.value], 1.0)
        yield from (up, generation, valid, kinds)


def build() -> Metric:
    """Return what is always the same."""
    return InfoMetricFamily(f"{PREFIX}_build", BUILD.documentation, value={"version": __version__})


def health_state(present: Health) -> Metric:
    """Return 1 for the state of health that *present* is, 0 for the others."""
    state = HEALTH_STATE.family()
    for health in Health:
        state.add_metric([health.value], float(health is present))
    return state


def leading(yes: bool) -> Metric:
    """Return whether this task leads."""
    return LEADING.family(float(yes))
