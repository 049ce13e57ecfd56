"""Results as tables: on the terminal, and in docs/reliability.md.

`python -m tests.chaos.report PAGE CHAOS.json [SOAK.json]` writes the tables of PAGE anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

NAMES = {"leasekeeper": "Leasekeeper", "bao-agent": "`bao agent`"}
WIDTH = 44


def table(results: Sequence[dict[str, Any]], subjects: Sequence[str]) -> str:
    """Return the results side by side, for a terminal."""
    lines = []
    for event, goal, cells in _rows(results):
        columns = [wrap(event, WIDTH), *(wrap(cells.get(name, "-"), WIDTH) for name in subjects)]
        height = max(map(len, columns))
        for number in range(height):
            parts = [column[number] if number < len(column) else "" for column in columns]
            lines.append("  ".join(part.ljust(WIDTH) for part in parts).rstrip())
        lines.append(f"    goal: {goal}")
    heads = ["event", *(NAMES[name].strip("`") for name in subjects)]
    return "\n".join(["", "  ".join(head.ljust(WIDTH) for head in heads).rstrip(), *lines])


def _rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, str, dict[str, str]]]:
    rows: dict[str, tuple[str, str, dict[str, str]]] = {}
    for result in results:
        row = rows.setdefault(result["scenario"], (result["event"], result["goal"], {}))
        finding = result["finding"]
        missed = result["subject"] == "leasekeeper" and not finding["good"]
        row[2][result["subject"]] = finding["said"] + (" **(goal missed)**" if missed else "")
    return list(rows.values())


def markdown(told: dict[str, Any]) -> str:
    """Return the table of `make chaos` for the page."""
    lines = [
        f"| event | {NAMES['bao-agent']} | {NAMES['leasekeeper']} | goal |",
        "|---|---|---|---|",
    ]
    for event, goal, cells in _rows(told["results"]):
        shown = " | ".join(cells.get(name, "-") for name in ("bao-agent", "leasekeeper"))
        lines.append(f"| {event} | {shown} | {goal} |")
    shorter = "" if told["factor"] == 1 else f" All times were multiplied by {told['factor']:g}."
    return "\n".join([*lines, "", _measured(told), f"Seed {told['seed']}.{shorter}"])


def soak_markdown(told: dict[str, Any]) -> str:
    """Return the table of `make soak` for the page."""
    lines = ["| | second third | last third | allowed |", "|---|---|---|---|"]
    for name, row in told["flat"].items():
        lines.append(f"| {name} | {row['before']:g} | {row['after']:g} | {row['most']:g} |")
    story = (
        f"{told['minutes']:.0f} minutes, {told['samples']} samples: {told['logins']:,} logins with "
        f"what was on disk, {told['bad']} bad; {told['rotations']} credentials, "
        f"{told['token_logins']} logins to Vault."
    )
    return "\n".join([*lines, "", story, _measured(told)])


def _measured(told: dict[str, Any]) -> str:
    machine = told["machine"]
    return (
        f"Measured on {machine['date']}: {machine['cpus']} CPUs ({machine['processor']}), "
        f"{machine['system']}, Python {machine['python']}, OpenBao {machine['openbao']}, "
        f"PostgreSQL {machine['postgresql']}, Leasekeeper {machine['leasekeeper']}."
    )


def put(page: str, name: str, text: str) -> str:
    """Return *page* with *text* between its markers.

    :raises ValueError: if the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page has no place for {name}")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def main(page: Path, *files: Path) -> None:
    """Write the tables of *page* anew from *files*."""
    text = page.read_text(encoding="utf-8")
    for file in files:
        told = json.loads(file.read_text(encoding="utf-8"))
        if "flat" in told:
            text = put(text, "soak", soak_markdown(told))
        else:
            text = put(text, "chaos", markdown(told))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
