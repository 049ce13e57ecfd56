"""What every test has: no task may outlive its test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest

# A deadline per example measures the machine, not the code.
hypothesis.settings.register_profile("leasekeeper", deadline=None)
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
def _no_task_survives(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_watch_tasks")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Keep looptime from asking for the loop of a sync test: that makes one nobody closes."""
    if pyfuncitem.get_closest_marker("asyncio") is None:
        pyfuncitem.funcargs.pop("event_loop_policy", None)
    return (yield)
