"""Our counters become prometheus-client's, bucket by bucket."""

from __future__ import annotations

import pytest

from leasekeeper.telemetry.metrics import Counter, Histogram
from leasekeeper.web import exposition


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter("things", "Things.", ("kind",))
    monkeypatch.setattr(exposition, "COUNTERS", (counter,))
    return counter


@pytest.fixture
def histogram(monkeypatch: pytest.MonkeyPatch) -> Histogram:
    histogram = Histogram("took_seconds", "Time.", ("kind",), buckets=(0.1, 1.0))
    monkeypatch.setattr(exposition, "HISTOGRAMS", (histogram,))
    return histogram


def samples() -> dict[tuple[str, str, str], float]:
    """Return what a scrape has: by name, kind and bucket."""
    return {
        (sample.name, sample.labels["kind"], sample.labels.get("le", "")): sample.value
        for family in exposition.CountedCollector().collect()
        for sample in family.samples
    }


@pytest.mark.usefixtures("histogram")
def test_each_combination_of_labels_is_counted_by_itself(counter: Counter) -> None:
    for kind in ("a", "b", "a"):
        counter.inc(kind)

    assert samples() == {
        ("leasekeeper_things_total", "a", ""): 2,
        ("leasekeeper_things_total", "b", ""): 1,
    }


@pytest.mark.usefixtures("counter")
def test_buckets_are_cumulative_and_hold_their_upper_bound(histogram: Histogram) -> None:
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds, "a")

    assert samples() == {
        ("leasekeeper_took_seconds_bucket", "a", "0.1"): 2,
        ("leasekeeper_took_seconds_bucket", "a", "1.0"): 3,
        ("leasekeeper_took_seconds_bucket", "a", "+Inf"): 4,
        ("leasekeeper_took_seconds_count", "a", ""): 4,
        ("leasekeeper_took_seconds_sum", "a", ""): 7.65,
    }
