"""All metrics in a text format of Prometheus; imported by the first scrape."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Sample

from leasekeeper.telemetry.metrics import COUNTERS, HISTOGRAMS, Counter, Exemplar, Histogram
from leasekeeper.web.report import View


class Exposition:
    """Writes down what has been counted and what the view shows.

    With *openmetrics*, whoever asks for that format gets it, exemplars included.
    """

    def __init__(self, view: View, *, openmetrics: bool = False) -> None:
        self._openmetrics = openmetrics
        self._registry = CollectorRegistry()
        self._registry.register(CountedCollector())
        self._registry.register(view.collector())

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics, as of now, and the type of their format, as *accept* asks for it."""
        if self._openmetrics and "application/openmetrics-text" in accept:
            from prometheus_client.openmetrics import exposition

            text: bytes = exposition.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, exposition.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


class CountedCollector(Collector):
    """Turns our counters and histograms into prometheus-client's."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked, since there is one registry."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield every counter and histogram, as of now."""
        yield from map(_counter, COUNTERS)
        yield from map(_histogram, HISTOGRAMS)


def _counter(counter: Counter) -> CounterMetricFamily:
    family = CounterMetricFamily(counter.name, counter.documentation, labels=list(counter.labels))
    for labels, value in counter.values.items():
        family.add_metric(labels, value)
    return family


def _histogram(histogram: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        histogram.name, histogram.documentation, labels=list(histogram.labels)
    )
    bounds = [*map(str, histogram.buckets), "+Inf"]
    for labels, counts in histogram.counts.items():
        kept = (histogram.exemplars or {}).get(labels, {})
        buckets = [
            _bucket(bound, count, kept.get(index))
            for index, (bound, count) in enumerate(zip(bounds, accumulate(counts), strict=True))
        ]
        family.add_metric(labels, buckets, histogram.sums[labels])
    return family


def _bucket(
    bound: str, count: float, kept: Exemplar | None
) -> tuple[str, float] | tuple[str, float, Sample]:
    if kept is None:
        return bound, count
    return bound, count, Sample({"request_id": kept.request_id}, kept.value, kept.at)
