"""One local world for all tests of a session.

::

    from tests.world import SharedWorld, world  # the fixture, once, in conftest.py


    async def test_something(world: SharedWorld) -> None:
        credentials = await world.run(world.parts.admin.read(world.parts.creds_path))

        with world.fault("status", path="/v1/learn/database", status=503, times=2):
            ...

The world lives in a thread with a loop of its own, since each test has a loop of its own. Plain
attributes of `world.parts` can be read from a test; whatever is a coroutine goes through `run`.
Tests share its state: use roles, paths and mounts of your own where that matters, and a `World` of
your own to seal, restart or reconfigure it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from leasekeeper.devstack.faults import Fault, Kind
from leasekeeper.devstack.world import World, WorldSettings

T = TypeVar("T")
START_DEADLINE_S = 60.0


class SharedWorld:
    """A `World` in a thread of its own; `parts` is the world itself."""

    def __init__(self, settings: WorldSettings | None = None) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="local world", daemon=True)
        self._started: Future[World] = Future()

    @property
    def parts(self) -> World:
        """The world; only its plain attributes may be used from outside its loop."""
        return self._started.result(START_DEADLINE_S)

    def start(self) -> None:
        """Start the world and wait until it is up."""
        self._thread.start()
        _ = self.parts

    def stop(self) -> None:
        """End the world and wait until it has gone."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep_up())

    async def _keep_up(self) -> None:
        try:
            async with World(self._settings) as world:
                self._started.set_result(world)
                await self._stop.wait()
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def run_blocking(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the world's loop and wait for its result, from a test without a loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the world's loop and return its result."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @contextlib.contextmanager
    def fault(self, kind: Kind, **details: Any) -> Iterator[Fault]:
        """Let a fault befall requests while the block runs; *details* as `Fault` has them."""
        faults = self.parts.gateway.faults
        fault = faults.add(Fault(kind=kind, **details))
        try:
            yield fault
        finally:
            self.run_blocking(_awaitable(lambda: faults.remove(fault)))


async def _awaitable(work: Any) -> None:
    work()


_shared: SharedWorld | None = None
_users = 0


@pytest.fixture(scope="session")
def world() -> Iterator[SharedWorld]:
    """The session's world, wherever this fixture is imported: the first use starts it."""
    global _shared, _users
    if _shared is None:
        _shared = SharedWorld()
        _shared.start()
    _users += 1
    yield _shared
    _users -= 1
    if _users == 0:
        shared, _shared = _shared, None
        shared.stop()


@pytest.fixture
def task_stops(world: SharedWorld) -> Iterator[None]:
    """Let ECS say that the whole task stops, not just one of its containers."""
    world.parts.ecs.desired_status = "STOPPED"
    yield
    world.parts.ecs.desired_status = "RUNNING"
