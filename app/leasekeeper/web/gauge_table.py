"""Every gauge: its name, its labels and what it says. `docs/metrics.md` is made from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily

from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.telemetry.metrics import CONFIGURED, PREFIX, Labels
from leasekeeper.web.report import Health


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is read off the state at scrape time; *name* has no prefix."""

    name: str
    documentation: str
    labels: Labels = field(default_factory=dict)

    def family(self, value: float | None = None) -> GaugeMetricFamily:
        """Return prometheus-client's, with its only *value*, or empty for one with labels."""
        name = f"{PREFIX}_{self.name}"
        return GaugeMetricFamily(
            name, self.documentation, value=value, labels=list(self.labels) or None
        )


_OUTPUT = {"output": CONFIGURED}
_SECRET = {"secret": CONFIGURED}

OUTAGE_BUDGET = Gauge(
    "outage_budget_seconds",
    "Time for which everything on disk stays valid if Vault went away now; +Inf if nothing ends.",
)
HEALTH_STATE = Gauge(
    "health_state", "1 for the present state of health, 0 for the others.", {"state": tuple(Health)}
)
OUTPUT_UP = Gauge("output_up", "1 while the newest render is on disk and valid.", _OUTPUT)
OUTPUT_VALID = Gauge("output_valid_seconds", "Time until a credential in the file ends.", _OUTPUT)
OUTPUT_GENERATION = Gauge("output_generation", "Contents published since start.", _OUTPUT)
OUTPUT_PUBLISHED = Gauge(
    "output_published_timestamp_seconds", "When the file was last published.", _OUTPUT
)
SECRET_UP = Gauge("secret_up", "1 while the secret can be fetched and renewed.", _SECRET)
SECRET_VALID = Gauge("secret_valid_seconds", "Time until the newest value ends.", _SECRET)
SECRET_GENERATION = Gauge("secret_generation", "Values of the secret since start.", _SECRET)
SECRET_KIND = Gauge(
    "secret_kind", "1 for what governs the secret's life.", {**_SECRET, "kind": tuple(SecretKind)}
)
TOKEN_TTL = Gauge("token_ttl_seconds", "Remaining life of the Vault token.")
VAULT_UP = Gauge("vault_up", "1 while Vault can be reached.")
CLOCK_OFFSET = Gauge("clock_offset_seconds", "Vault's clock minus ours.")
TASKS = Gauge("tasks", "Tasks of the event loop; a number that keeps growing is a bug.")
APP_UP = Gauge("app_up", "1 while the application that `exec` runs is there.")
LEADING = Gauge(
    "leading",
    "With shared.directory: 1 while this task leads, 0 while it stands by; then there are only "
    "this one, build_info and health_state.",
)
BUILD = Gauge("build_info", "Version of Leasekeeper; always 1.", {"version": CONFIGURED})
GAUGES = (
    *(
        OUTAGE_BUDGET,
        HEALTH_STATE,
        TOKEN_TTL,
        VAULT_UP,
        CLOCK_OFFSET,
        TASKS,
        APP_UP,
        LEADING,
        BUILD,
    ),
    *(OUTPUT_UP, OUTPUT_VALID, OUTPUT_GENERATION, OUTPUT_PUBLISHED),
    *(SECRET_UP, SECRET_VALID, SECRET_GENERATION, SECRET_KIND),
)
