"""The pages for operators name exactly the events and metrics that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leasekeeper.telemetry.event_table import events
from leasekeeper.templates.functions.library import library
from leasekeeper.web import events_page, metrics_page

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "app" / "leasekeeper"
LEVELS = {"debug", "info", "warning", "error"}


@dataclass(frozen=True)
class Logged:
    """One call that logs an event."""

    name: str
    level: str
    fields: frozenset[str]


def logged_in(tree: ast.AST) -> Iterator[Logged]:
    """Yield the events that a module can log, as far as they are written out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        names = [
            part.value
            for part in ast.walk(node.args[0])
            if isinstance(part, ast.Constant) and re.fullmatch(r"\w+\.\w+", str(part.value))
        ]
        fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
        if (
            isinstance(function, ast.Attribute)
            and function.attr in LEVELS
            and isinstance(function.value, ast.Name)
            and function.value.id == "log"
        ):
            fields = frozenset("exception" if each == "exc_info" else each for each in fields)
            yield from (Logged(str(name), function.attr, fields) for name in names)
        elif isinstance(function, ast.Name) and function.id == "Trouble":
            for name in names:
                yield Logged(f"{name}_failed", "warning", fields | {"error", "hint"})
                yield Logged(f"{name}_recovered", "info", fields | {"failures", "after_s"})


def all_logged() -> list[Logged]:
    files = [path for path in SOURCE.rglob("*.py") if "devstack" not in path.parts]
    return [
        each for path in files for each in logged_in(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_every_event_is_in_the_table_and_the_table_has_no_other() -> None:
    table = [event.name for event in events()]

    assert len(table) == len(set(table))
    assert set(table) - {"library.logged"} == {each.name for each in all_logged()}


def test_levels_and_fields_of_events_are_as_the_table_says() -> None:
    table = {event.name: event for event in events()}
    logged = all_logged()
    levels = {
        event.name: {each.level for each in logged if each.name == event.name}
        for event in events()
        if event.name != "library.logged"
    }

    assert {name: set(table[name].level.split("/")) for name in levels} == levels
    assert [each for each in logged if not each.fields <= set(table[each.name].fields)] == []


def test_the_pages_of_events_and_metrics_are_up_to_date() -> None:
    for page, name in ((events_page, "events"), (metrics_page, "metrics")):
        assert page.main(["--check", str(ROOT / "docs" / f"{name}.md")]) == 0, "run `make docs`"


def test_every_function_is_documented() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page.partition("\n## Functions\n")[2]))

    assert {name for name in library() if not name.startswith("sprig_")} <= named


def test_every_room_is_on_the_page_for_whoever_changes_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert {room for room in rooms if f"`{room}`" not in page} - {"__init__.py"} == set()
