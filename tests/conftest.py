"""What every test has: no task may outlive its test."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import warnings
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


@pytest.fixture(scope="session", autouse=True)
def _close_the_loop_that_pytest_asyncio_leaves() -> Iterator[None]:
    """pytest-asyncio makes a loop to put back after its own and closes it never."""
    yield
    with warnings.catch_warnings(), contextlib.suppress(RuntimeError):
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.get_event_loop_policy().get_event_loop().close()
