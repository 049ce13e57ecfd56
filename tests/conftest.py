"""What every test has: no task may outlive its test."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest

from leasekeeper.telemetry.events import log, recent
from leasekeeper.telemetry.metrics import CONFIGURED, COUNTERS, HISTOGRAMS, Counter
from tests.world import task_stops, world  # noqa: F401 - fixtures

# A deadline per example measures the machine, not the code. CI tries the same examples each time,
# so that what it says is about the change; everybody else keeps looking for new ones.
hypothesis.settings.register_profile(
    "leasekeeper", deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("leasekeeper")


@pytest.fixture
async def _watch_tasks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    ours = {asyncio.current_task()}
    left = {task for task in asyncio.all_tasks() - before - ours if not task.done()}
    names = sorted(task.get_name() for task in left)
    for task in left:
        task.cancel()
    assert not names, f"tasks outlived {request.node.name}: {names}"


@pytest.fixture(autouse=True)
def _log_as_at_first() -> Iterator[None]:
    """What a test sets up for logging ends with it: others want to see every event."""
    before = log.level, log.take, log.writer
    yield
    log.level, log.take, log.writer = before
    recent.clear()


@pytest.fixture(autouse=True)
def _label_sets_are_closed() -> Iterator[None]:
    """Whatever is counted has labels out of the sets that `docs/metrics.md` names."""
    yield
    for counted in (*COUNTERS, *HISTOGRAMS):
        values = counted.values if isinstance(counted, Counter) else counted.counts
        allowed = tuple(counted.labels.values())
        strays = [
            labels
            for labels in values
            for value, known in zip(labels, allowed, strict=True)
            if known != CONFIGURED and value not in known
        ]
        assert strays == [], counted.name


@pytest.fixture(autouse=True)
def _no_task_survives(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_watch_tasks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the test that takes minutes of waiting, so that the others run beside it."""
    items.sort(key=lambda item: "three_minutes" not in item.name)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Keep looptime from asking for the loop of a sync test: that makes one nobody closes."""
    if pyfuncitem.get_closest_marker("asyncio") is None:
        pyfuncitem.funcargs.pop("event_loop_policy", None)
    return (yield)
