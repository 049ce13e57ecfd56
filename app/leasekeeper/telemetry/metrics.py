"""What is counted as it happens. What is *true now* is read at scrape time, in `web.gauges`.

Names follow Prometheus' conventions. Each label has the values that it can take: a closed set, or
`CONFIGURED` for names out of the configuration (outputs, secret paths); never data. These are
plain numbers: prometheus-client, which writes them down in `web.exposition`, costs 11 ms and 2 MiB,
and is imported by the first scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time

PREFIX = "leasekeeper"
CONFIGURED: tuple[str, ...] = ()
"""The values of a label that come from the configuration: as many as that names."""

Labels = Mapping[str, tuple[str, ...]]
"""Names of labels, in order, with all values that each can take."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that stands for those in its bucket; *request_id* is Vault's."""

    request_id: str
    value: float
    at: float


class Counter:
    """A number for each combination of labels. *name* has neither prefix nor ``_total``."""

    def __init__(self, name: str, documentation: str, labels: Labels) -> None:
        self.name = f"{PREFIX}_{name}"
        self.documentation = documentation
        self.labels = labels
        self.values: dict[tuple[str, ...], int] = {}

    def inc(self, *labels: str) -> None:
        """Count one more; *labels* are the labels' values, in order."""
        self.values[labels] = self.values.get(labels, 0) + 1


class Histogram:
    """How many observations were at most so large, for each combination of labels."""

    def __init__(
        self, name: str, documentation: str, labels: Labels, *, buckets: Sequence[float]
    ) -> None:
        self.name = f"{PREFIX}_{name}"
        self.documentation = documentation
        self.labels = labels
        self.buckets = tuple(buckets)
        self.counts: dict[tuple[str, ...], list[int]] = {}
        """Observations in each bucket alone; the last is for what is larger than all."""
        self.sums: dict[tuple[str, ...], float] = {}
        self.exemplars: dict[tuple[str, ...], dict[int, Exemplar]] | None = None
        """The newest of each bucket; None unless somebody has asked for them."""

    def observe(self, value: float, *labels: str, request_id: str = "") -> None:
        """Note one observation; *labels* are the labels' values, in order."""
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.buckets) + 1)
        bucket = bisect_left(self.buckets, value)
        counts[bucket] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value
        if self.exemplars is not None and request_id:
            kept = self.exemplars.setdefault(labels, {})
            kept[bucket] = Exemplar(request_id, value, time())


OPERATIONS = (
    *("login", "lookup_token", "renew_token", "revoke_token", "wrap_token"),
    *("read", "write", "list", "find_mount"),
    *("renew_lease", "lookup_lease", "revoke_lease", "health"),
)
"""What Vault is asked for."""
RESULTS = ("ok", "denied", "not_found", "rejected", "unavailable")


VAULT_REQUESTS = Counter(
    "vault_requests",
    "Requests to Vault by operation and result.",
    {"operation": OPERATIONS, "result": RESULTS},
)
VAULT_REQUEST_SECONDS = Histogram(
    "vault_request_duration_seconds",
    "Time from sending a request to Vault to its whole answer.",
    {"operation": OPERATIONS},
    buckets=(0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0),
)
RENEWAL_DELAY_SECONDS = Histogram(
    "lease_renewal_delay_seconds",
    "Time from when the renewal of a lease was due to Vault's answer: our own delay and Vault's.",
    {},
    buckets=(0.02, 0.1, 0.5, 2.0, 10.0, 30.0),
)
LOGINS = Counter(
    "logins",
    "Logins to Vault by result.",
    {"result": ("ok", "denied", "no_credentials", "unavailable")},
)
MINTS = Counter(
    "secret_mints",
    "New leases, certificates and other values that Vault made for a secret.",
    {"secret": CONFIGURED},
)
MINTS_HELD = Counter(
    "secret_mints_held",
    "New values that were put off because the secret's mint budget was spent.",
    {"secret": CONFIGURED},
)
RENDERS = Counter(
    "renders",
    "Renders of an output by outcome.",
    {"output": CONFIGURED, "outcome": ("published", "unchanged", "failed", "waiting")},
)
NOTIFICATIONS = Counter(
    "notifications",
    "Finished notifications of the application by result.",
    {"output": CONFIGURED, "result": ("ok", "failed", "superseded")},
)
APP_STARTS = Counter(
    "app_starts",
    "Starts of the application that `exec` runs, by reason.",
    {"reason": ("first", "environment", "file")},
)
RELOADS = Counter(
    "config_reloads",
    "Reloads of the configuration by result; after a failed one the old configuration stays.",
    {"result": ("ok", "failed")},
)
CONTROLS = Counter(
    "control_requests",
    "Requests to /v1 by action and result.",
    {"action": ("refresh", "rotate", "quit"), "result": ("done", "refused")},
)
COUNTERS = (
    VAULT_REQUESTS,
    LOGINS,
    MINTS,
    MINTS_HELD,
    RENDERS,
    NOTIFICATIONS,
    APP_STARTS,
    RELOADS,
    CONTROLS,
)
HISTOGRAMS = (VAULT_REQUEST_SECONDS, RENEWAL_DELAY_SECONDS)
