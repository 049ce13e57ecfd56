"""Tables and plots of docs/fleet.md; the words between them are written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import fill
from benchmarks.plots import time_plot

_MINUTE = 60.0
# A plot has a point for the highest second in so many.
POINT_S = 20


def text_of(results: Mapping[str, Any]) -> str:
    """Return the tables for a terminal."""
    return "\n\n".join(_blocks(results).values())


def write(results: Mapping[str, Any], docs: Path) -> None:
    """Write the plots, and everything between the markers of the page."""
    for name, plot in _plots(results["scenarios"]):
        (docs / "fleet" / f"{name}.svg").write_text(plot, encoding="utf-8")
    fill(docs / "fleet.md", _blocks(results))


def _blocks(results: Mapping[str, Any]) -> dict[str, str]:
    scenarios = results["scenarios"]
    blocks = {
        "rates": _rates(scenarios),
        "return": _return(scenarios),
        "leases": _leases(scenarios),
        "scale": _scale(scenarios),
    }
    if "check" in results:
        blocks["check"] = _check(results["check"])
    return blocks


def _rates(scenarios: Mapping[str, Any]) -> str:
    lines = _head("deployment: peak", "then: mean", "peak", "peak to mean", "later: peak to mean")
    for name, result in scenarios.items():
        found = result["figures"]
        usual, after = found["steady"], found["outage"]["after"]
        lines.append(
            f"| {name} | {found['wave']['peak']:,.0f} | {usual['mean']:,.1f} |"
            f" {usual['peak']:,.0f} | {usual['peak'] / usual['mean']:.2f} |"
            f" {after['peak'] / after['mean']:.2f} |"
        )
    return "\n".join(lines)


def _return(scenarios: Mapping[str, Any]) -> str:
    lines = _head(
        *("away: mean", "back: peak", "to the mean before", "work alone: peak"),
        *("to the mean before", "credentials ended", "half new", "99 %", "all"),
    )
    for name, result in scenarios.items():
        usual, found = result["figures"]["steady"]["mean"], result["figures"]["outage"]
        back, work = found["back"]["peak"], found["work"]["peak"]
        line = f"| {name} | {found['away']['mean']:,.0f} | {back:,.0f} | {back / usual:.2f} |"
        line += f" {work:,.0f} | {work / usual:.2f} | {found['ended']:,} |"
        waits = (f" {found[part]:.1f} s |" for part in ("half_s", "most_s", "all_s"))
        lines.append(line + ("".join(waits) if found["ended"] else " - | - | - |"))
    return "\n".join(lines)


def _leases(scenarios: Mapping[str, Any]) -> str:
    costly = "logins, mints, renewals a second: mean"
    lines = _head("leases held: mean", "most", costly, "busiest minute", "gaps")
    for name, result in scenarios.items():
        found = result["figures"]
        often = found["costly"]
        lines.append(
            f"| {name} | {found['leases_mean']:,.0f} | {found['leases_most']:,} |"
            f" {often['mean']:.2f} | {often['peak']:.2f} | {found['gaps']:,} |"
        )
    return "\n".join(lines)


def _head(*titles: str) -> list[str]:
    return [f"| | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]


def _scale(scenarios: Mapping[str, Any]) -> str:
    told = (
        f"{result['tasks']:,}"
        + (f" (each stands for {result['weight']})" if result["weight"] > 1 else "")
        + f" in {name!r}"
        for name, result in scenarios.items()
    )
    return f"Tasks simulated for these figures: {', '.join(told)}."


def _check(check: Mapping[str, Any]) -> str:
    model, real = check["model"], check["real"]
    lines = ["| | model | OpenBao |", "|---|---:|---:|"]
    for kind in sorted(model["requests"].keys() | real["requests"].keys()):
        counts = (side["requests"].get(kind, 0) for side in (model, real))
        lines.append(f"| {kind} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    for when in ("before", "after"):
        for what in ("mean", "peak"):
            rates = (side[when][what] for side in (model, real))
            title = f"a second, {what} {when} the outage"
            lines.append(f"| {title} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |")
    return "\n".join(lines)


def _plots(scenarios: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    step, label = POINT_S / _MINUTE, "minutes since the deployment"

    def plot(title: str, what: str, names: tuple[str, ...]) -> str:
        return time_plot(title, label, step, {name: scenarios[name][what] for name in names})

    alike = ("without jitter", "fleet")
    yield "requests", plot("Requests a second, busiest second of 20", "all", alike)
    yield "costly", plot("Logins, mints and renewals a second", "costly", alike)
    yield "leases", plot("Leases held", "leases", ("fleet", "shared: leader"))
