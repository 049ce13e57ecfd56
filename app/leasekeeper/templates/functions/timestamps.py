"""timestamp: the present, as text."""

from __future__ import annotations

from datetime import UTC

from leasekeeper.templates.functions.go_time import RFC3339, now
from leasekeeper.templates.golang.functions import FunctionTable, GoError

functions = FunctionTable()


@functions.add("timestamp", "...string")
def timestamp(*layout: str) -> str:
    """Return the present in UTC: RFC 3339, ``unix`` seconds, or a Go layout."""
    if len(layout) > 1:
        msg = f"timestamp: wrong number of arguments, expected 0 or 1, but got {len(layout)}"
        raise GoError(msg)
    present = now().in_zone(UTC)
    if layout == ("unix",):
        return str(present.unix)
    return present.format(layout[0] if layout else RFC3339)
