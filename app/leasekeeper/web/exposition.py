"""All metrics in Prometheus' text format; imported by the first scrape."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from leasekeeper.telemetry.metrics import COUNTERS, HISTOGRAMS, Counter, Histogram
from leasekeeper.web.report import View

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Exposition:
    """Writes down what has been counted and what the view shows."""

    def __init__(self, view: View) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CountedCollector())
        self._registry.register(view.collector())

    def text(self) -> bytes:
        """Return all metrics, as of now."""
        return generate_latest(self._registry)


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
    family = CounterMetricFamily(counter.name, counter.documentation, labels=counter.labels)
    for labels, value in counter.values.items():
        family.add_metric(labels, value)
    return family


def _histogram(histogram: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(histogram.name, histogram.documentation, labels=histogram.labels)
    bounds = [*map(str, histogram.buckets), "+Inf"]
    for labels, counts in histogram.counts.items():
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets, histogram.sums[labels])
    return family
