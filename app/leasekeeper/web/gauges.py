"""Metrics that are read off the state at scrape time, so that they can never be stale."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from leasekeeper import __version__
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.clock import now, wall_time
from leasekeeper.telemetry.metrics import PREFIX
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
        yield _value("token_ttl_seconds", "Remaining life of the Vault token.", ttl)
        budget = report.outage_budget_s()
        yield _value(
            "outage_budget_seconds",
            "Time for which everything on disk stays valid if Vault went away now.",
            budget,
        )
        tasks = float(len(asyncio.all_tasks()))
        yield _value("tasks", "Tasks of the event loop.", tasks)
        up = float(report.client.reachability.up)
        yield _value("vault_up", "1 while Vault can be reached.", up)
        if report.app is not None:
            running = float(report.app.pid is not None)
            yield _value("app_up", "1 while the application that `exec` runs is there.", running)
        offset = report.client.clock_offset_s
        if offset is not None:
            yield _value("clock_offset_seconds", "Vault's clock minus ours.", offset)

    def _outputs(self) -> Iterable[Metric]:
        up = _gauge("output_up", "1 while the newest render is on disk and valid.", "output")
        generation = _gauge("output_generation", "Contents published since start.", "output")
        published = _gauge(
            "output_published_timestamp_seconds", "When the file was last published.", "output"
        )
        valid = _gauge(
            "output_valid_seconds", "Time until a credential in the file ends.", "output"
        )
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
        up = _gauge("secret_up", "1 while the secret can be fetched and renewed.", "secret")
        generation = _gauge("secret_generation", "Values of the secret since start.", "secret")
        valid = _gauge("secret_valid_seconds", "Time until the newest value ends.", "secret")
        kinds = _gauge("secret_kind", "1 for what governs the secret's life.", "secret", "kind")
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
    return InfoMetricFamily(
        f"{PREFIX}_build", "Version of Leasekeeper.", value={"version": __version__}
    )


def health_state(present: Health) -> Metric:
    """Return 1 for the state of health that *present* is, 0 for the others."""
    state = _gauge("health_state", "1 for the present state of health.", "state")
    for health in Health:
        state.add_metric([health.value], float(health is present))
    return state


def leading(yes: bool) -> Metric:
    """Return whether this task leads."""
    text = "1 while this task leads those that share its volume."
    return _value("leading", text, float(yes))


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
