"""What takes time and is worth a trace: a no-op, unless `telemetry.traces` has been switched on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

Note = Callable[[str, str], None]
"""Adds an attribute to the span that is open."""
Begin = Callable[[str, Mapping[str, str]], AbstractContextManager[Note]]


def _no_note(_name: str, _value: str) -> None:
    return


_nothing = nullcontext(_no_note)


class _Spans:
    begin: Begin | None = None


def span(name: str, attributes: Mapping[str, str]) -> AbstractContextManager[Note]:
    """Open a span for the time of a ``with`` block; an error that passes through ends it as failed.

    Attributes are identities, never values.
    """
    return _nothing if _Spans.begin is None else _Spans.begin(name, attributes)


def trace_with(begin: Begin | None) -> None:
    """Have *begin* open the spans of the process from now on; None switches them off."""
    _Spans.begin = begin
