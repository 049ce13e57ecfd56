"""What is counted as it happens. What is *true now* is read at scrape time.

Names follow Prometheus' conventions; labels come from closed sets or from the configuration
(output names, secret paths), never from data. These are plain numbers: prometheus-client, which
writes them down in `web.exposition`, costs 11 ms and 2 MiB, and is imported by the first scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

PREFIX = "leasekeeper"


class Counter:
    """A number for each combination of labels. *name* has neither prefix nor ``_total``."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self.name = f"{PREFIX}_{name}"
        self.documentation = documentation
        self.labels = tuple(labels)
        self.values: dict[tuple[str, ...], int] = {}

    def inc(self, *labels: str) -> None:
        """Count one more; *labels* are the labels' values, in order."""
        self.values[labels] = self.values.get(labels, 0) + 1


class Histogram:
    """How many observations were at most so large, for each combination of labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, buckets: Sequence[float]
    ) -> None:
        self.name = f"{PREFIX}_{name}"
        self.documentation = documentation
        self.labels = tuple(labels)
        self.buckets = tuple(buckets)
        self.counts: dict[tuple[str, ...], list[int]] = {}
        """Observations in each bucket alone; the last is for what is larger than all."""
        self.sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Note one observation; *labels* are the labels' values, in order."""
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.buckets) + 1)
        counts[bisect_left(self.buckets, value)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value


VAULT_REQUESTS = Counter(
    "vault_requests",
    "Requests to Vault by operation and result (ok, denied, not_found, rejected, unavailable).",
    ("operation", "result"),
)
VAULT_REQUEST_SECONDS = Histogram(
    "vault_request_duration_seconds",
    "Time from sending a request to Vault to its whole answer.",
    ("operation",),
    buckets=(0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0),
)
LOGINS = Counter(
    "logins",
    "Logins to Vault by result (ok, denied, no_credentials, unavailable).",
    ("result",),
)
MINTS = Counter(
    "secret_mints",
    "New leases, certificates and other values that Vault made for a secret.",
    ("secret",),
)
MINTS_HELD = Counter(
    "secret_mints_held",
    "New values that were put off because the secret's mint budget was spent.",
    ("secret",),
)
RENDERS = Counter(
    "renders",
    "Renders of an output by outcome (published, unchanged, failed, waiting).",
    ("output", "outcome"),
)
NOTIFICATIONS = Counter(
    "notifications",
    "Finished notifications of the application by result (ok, failed, superseded).",
    ("output", "result"),
)
APP_STARTS = Counter(
    "app_starts",
    "Starts of the application that `exec` runs, by reason (first, environment, file).",
    ("reason",),
)
COUNTERS = (VAULT_REQUESTS, LOGINS, MINTS, MINTS_HELD, RENDERS, NOTIFICATIONS, APP_STARTS)
HISTOGRAMS = (VAULT_REQUEST_SECONDS,)
