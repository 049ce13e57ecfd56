"""The table of `docs/metrics.md`: ``python -m leasekeeper.web.metrics_page [--check] FILE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from leasekeeper.settings.documentation import renew_page
from leasekeeper.telemetry.metrics import CONFIGURED, COUNTERS, HISTOGRAMS, PREFIX, Labels
from leasekeeper.web.gauge_table import GAUGES

BEGIN = "<!-- table: made by `python -m leasekeeper.web.metrics_page` -->\n"
END = "<!-- table: end -->\n"
_HEAD = "| name | type | labels | meaning |\n|---|---|---|---|\n"


def metrics() -> Iterator[tuple[str, str, Labels, str]]:
    """Yield name, type, labels and meaning of everything that /metrics can show."""
    for gauge in GAUGES:
        yield f"{PREFIX}_{gauge.name}", "gauge", gauge.labels, gauge.documentation
    for counter in COUNTERS:
        yield f"{counter.name}_total", "counter", counter.labels, counter.documentation
    for histogram in HISTOGRAMS:
        yield histogram.name, "histogram", histogram.labels, histogram.documentation


def table() -> str:
    """Return the Markdown table of all metrics."""
    return _HEAD + "".join(
        f"| `{name}` | {kind} | {'; '.join(map(_label, labels.items()))} | {meaning} |\n"
        for name, kind, labels, meaning in metrics()
    )


def renewed(text: str) -> str:
    """Return a page with a new table between its two markers."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _label(label: tuple[str, tuple[str, ...]]) -> str:
    name, values = label
    return f"`{name}`" if values == CONFIGURED else f"`{name}`: {', '.join(values)}"


def main(arguments: list[str] | None = None) -> int:
    """Renew docs/metrics.md."""
    return renew_page("leasekeeper.web.metrics_page", renewed, arguments)


if __name__ == "__main__":
    sys.exit(main())
