"""Unit tests run in virtual time: an hour takes a millisecond, and nothing opens a socket."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Before it moves the clock, looptime looks this often for what threads and sockets may have to
# say. Here there are none, and its default of 42 would take most of the time of a test.
NOOP_CYCLES = 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.looptime(noop_cycles=NOOP_CYCLES))
