"""Prometheus metrics: what is counted as it happens. What is *true now* is read at scrape time.

Names follow Prometheus' conventions; labels come from closed sets or from the configuration
(output names, secret paths), never from data.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

# Nothing reads them, and they double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]

PREFIX = "leasekeeper"
REGISTRY = CollectorRegistry(auto_describe=True)

VAULT_REQUESTS = Counter(
    "vault_requests",
    "Requests to Vault by operation and result (ok, denied, not_found, rejected, unavailable).",
    ("operation", "result"),
    namespace=PREFIX,
    registry=REGISTRY,
)
VAULT_REQUEST_SECONDS = Histogram(
    "vault_request_duration_seconds",
    "Time from sending a request to Vault to its whole answer.",
    ("operation",),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0),
)
LOGINS = Counter(
    "logins",
    "Logins to Vault by result (ok, denied, no_credentials, unavailable).",
    ("result",),
    namespace=PREFIX,
    registry=REGISTRY,
)
MINTS = Counter(
    "secret_mints",
    "New leases, certificates and other values that Vault made for a secret.",
    ("secret",),
    namespace=PREFIX,
    registry=REGISTRY,
)
MINTS_HELD = Counter(
    "secret_mints_held",
    "New values that were put off because the secret's mint budget was spent.",
    ("secret",),
    namespace=PREFIX,
    registry=REGISTRY,
)
RENDERS = Counter(
    "renders",
    "Renders of an output by outcome (published, unchanged, failed, waiting).",
    ("output", "outcome"),
    namespace=PREFIX,
    registry=REGISTRY,
)
NOTIFICATIONS = Counter(
    "notifications",
    "Finished notifications of the application by result (ok, failed, superseded).",
    ("output", "result"),
    namespace=PREFIX,
    registry=REGISTRY,
)
