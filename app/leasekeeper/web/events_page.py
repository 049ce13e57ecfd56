"""The table of `docs/events.md`: ``python -m leasekeeper.web.events_page [--check] FILE``."""

from __future__ import annotations

import sys

from leasekeeper.settings.documentation import renew_page
from leasekeeper.telemetry.event_table import events

BEGIN = "<!-- table: made by `python -m leasekeeper.web.events_page` -->\n"
END = "<!-- table: end -->\n"
_HEAD = "| event | level | fields | when |\n|---|---|---|---|\n"


def table() -> str:
    """Return the Markdown table of all events."""
    rows = []
    for event in events():
        fields = ", ".join(f"`{field}`" for field in event.fields)
        level = event.level.replace("/", ", ")
        rows.append(f"| `{event.name}` | {level} | {fields} | {event.meaning} |\n")
    return _HEAD + "".join(rows)


def renewed(text: str) -> str:
    """Return a page with a new table between its two markers."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str] | None = None) -> int:
    """Renew docs/events.md."""
    return renew_page("leasekeeper.web.events_page", renewed, arguments)


if __name__ == "__main__":
    sys.exit(main())
