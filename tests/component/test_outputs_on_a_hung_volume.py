"""Promises P6 and P9: a file system that hangs stops nothing but its own files."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.outputs import loop as loop_module
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.templates.source import RenderContext, Rendered
from tests.fakes.number_store import SECRET, NumberStore

SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
RESPONSIVE_S = 0.1  # what P9 promises for health


class Store(NumberStore):
    def rotate(self) -> str:
        return f"value {super().rotate()}"


class Value:
    def static_requests(self) -> frozenset[SecretRequest]:
        return frozenset({SECRET})

    def render(self, context: RenderContext) -> Rendered:
        snapshot = context.secret(SECRET)
        assert snapshot is not None
        assert snapshot.response.data is not None
        text = f"value {snapshot.response.data['value']}"
        return Rendered(text=text, used=frozenset({SECRET}), missing=frozenset())


class Volume:
    """Makes `fsync` hang for the files below one directory, as a hard NFS mount does."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefix = f"{directory}/"
        self.back = threading.Event()
        self.hanging = 0
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(self.prefix):
            self.hanging += 1
            self.back.wait()
        self._fsync(fd)


@asynccontextmanager
async def running(
    paths: Iterable[Path], store: Store, *, close_s: float = 5, **lifecycle: str
) -> AsyncIterator[OutputLoop]:
    sections = [
        OutputSection.model_validate({"destination": str(path), "template": "-"}) for path in paths
    ]
    loop = OutputLoop(
        LifecycleSection.model_validate(lifecycle),
        [(section, Value()) for section in sections],
        store,
        rng=Random(1),
        environ={},
    )
    task = asyncio.get_running_loop().create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.wait([task])
        await loop.close(deadline_s=close_s)


async def longest_gap(until: Callable[[], bool]) -> float:
    """Return the longest time, in seconds, that somebody else had to wait for the event loop."""
    worst, last = 0.0, time.perf_counter()
    while not until():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now
    return worst


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        await longest_gap(condition)


async def test_others_are_published_and_the_loop_turns_while_one_directory_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "RETRY", Backoff(minimum_s=0.05, maximum_s=0.2))
    hung, good = tmp_path / "hung" / "a", [tmp_path / "good" / str(n) for n in range(20)]
    store, volume = Store(), Volume(hung.parent, monkeypatch)

    async with running([hung, *good], store, publish_deadline="300ms") as loop:
        first = loop.outputs[0]
        await eventually(lambda: volume.hanging == 1)
        for _ in range(5):
            value = store.rotate()
            worst = await longest_gap(
                lambda v=value: all(p.exists() and p.read_text() == v for p in good)
            )
            assert worst < RESPONSIVE_S
        await eventually(lambda: first.outcome is Outcome.FAILED)
        assert isinstance(first.error, PublishError)
        assert "does not answer" in str(first.error)
        assert not loop.settled.released
        # Tries that follow wait for the stuck one instead of piling up threads.
        await eventually(lambda: first.failures >= 3)
        assert volume.hanging == 1

        volume.back.set()
        await eventually(lambda: loop.settled.released)
        assert hung.read_text() == "value 5"
    assert os.listdir(hung.parent) == ["a"]


async def test_a_hung_publish_does_not_appear_after_it_was_given_up_for_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hung" / "a"
    store = Store()
    seen: set[str] = set()
    done = threading.Event()

    async with running([path], store, publish_deadline="100ms") as loop:
        await loop.settled.wait()
        volume = Volume(path.parent, monkeypatch)

        def watch() -> None:
            while not done.is_set():
                seen.add(path.read_text())

        watcher = threading.Thread(target=watch)
        watcher.start()
        store.rotate()
        await eventually(lambda: loop.outputs[0].outcome is Outcome.FAILED)
        store.rotate()
        volume.back.set()
        await eventually(lambda: path.read_text() == "value 2")
        done.set()
        watcher.join()

    assert seen <= {"value 0", "value 2"}
    assert os.listdir(path.parent) == ["a"]


async def test_closing_does_not_wait_for_a_hung_volume_beyond_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hung" / "a"
    store, volume = Store(), Volume(path.parent, monkeypatch)
    before = threading.active_count()

    async with running([path], store, close_s=0.2):
        await eventually(lambda: volume.hanging == 1)
        began = time.perf_counter()

    assert time.perf_counter() - began < 2
    assert len(os.listdir(path.parent)) == 1
    volume.back.set()
    await eventually(lambda: threading.active_count() == before)
    assert os.listdir(path.parent) == []


@pytest.fixture
def _only_our_garbage() -> Iterator[None]:
    """A full collection of everything that the test runner has made takes 50 ms alone."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_only_our_garbage")
async def test_two_thousand_outputs_leave_the_loop_to_others(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(2000)]
    store = Store()

    async with running(paths, store) as loop:
        worst = await longest_gap(lambda: loop.settled.released)

    assert worst < RESPONSIVE_S
    assert {path.read_text() for path in paths} == {"value 0"}
    assert len(os.listdir(tmp_path)) == 2000


async def test_nothing_is_left_behind_by_a_clean_stop(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    descriptors = len(os.listdir("/proc/self/fd"))
    async with running([tmp_path / "a"], Store()) as loop:
        await loop.settled.wait()

    assert set(threading.enumerate()) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert os.listdir(tmp_path) == ["a"]


HUNG_PROCESS = """
    import asyncio, json, os, sys, threading, time
    from leasekeeper.files.file_workers import FileWorkers

    async def main():
        workers = FileWorkers()
        try:
            await workers.run("/nfs", threading.Event().wait, deadline_s=0.05)
        except TimeoutError:
            pass
        await workers.close(grace_s=0.05)
        print(json.dumps(time.time()))

    asyncio.run(main())
"""


def test_the_process_ends_while_a_thread_is_stuck() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HUNG_PROCESS)],
        env=SAME_MODULES,
        capture_output=True,
        timeout=20,
        check=True,
    )

    stopped: Any = json.loads(done.stdout)
    assert time.time() - stopped < 5
    assert done.stderr == b""
