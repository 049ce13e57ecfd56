"""The pages for operators name exactly the events and metrics that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from leasekeeper.telemetry.metrics import COUNTERS, HISTOGRAMS
from leasekeeper.templates.functions.library import library

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "app" / "leasekeeper"
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LEVELS = {"debug", "info", "warning", "error"}


def events_in(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the events that a module can log."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        logs = (
            isinstance(function, ast.Attribute)
            and function.attr in LEVELS
            and isinstance(function.value, ast.Name)
            and function.value.id == "log"
        )
        names = [
            part.value
            for part in ast.walk(node.args[0])
            if isinstance(part, ast.Constant) and re.fullmatch(r"\w+\.\w+", str(part.value))
        ]
        if logs:
            yield from names
        elif isinstance(function, ast.Name) and function.id == "Trouble":
            yield from (f"{name}_{end}" for name in names for end in ("failed", "recovered"))


def table(heading: str) -> set[str]:
    """Return what stands in the first column of the table under *heading*."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_event_is_documented_and_every_documented_event_exists() -> None:
    files = [path for path in SOURCE.rglob("*.py") if "devstack" not in path.parts]
    logged = {
        name for path in files for name in events_in(ast.parse(path.read_text(encoding="utf-8")))
    } - {"library.logged"}

    assert table("Events") == logged


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    counted = {f"{counter.name}_total" for counter in COUNTERS}
    counted |= {histogram.name for histogram in HISTOGRAMS}
    gauges = set(
        re.findall(r'(?:_gauge|_value)\(\s*"(\w+)"', (SOURCE / "web/gauges.py").read_text())
    )
    named = {f"leasekeeper_{name}" for name in gauges} | {"leasekeeper_build_info"}

    assert table("Metrics") == counted | named


def test_every_function_is_documented() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page.partition("\n## Functions\n")[2]))

    assert {name for name in library() if not name.startswith("sprig_")} <= named
