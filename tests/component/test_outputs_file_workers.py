"""Threads for blocking calls: who waits for whom, and what a stuck call costs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import shutil
import stat
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files import attempt as attempt_module
from leasekeeper.files.file_workers import THREADS_PER_MOUNT, FileWorkers
from leasekeeper.files.publish import Publication, PublishedFile
from leasekeeper.files.target import Target

T = TypeVar("T")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("files ")]


@pytest.fixture
async def workers() -> AsyncIterator[FileWorkers]:
    subject = FileWorkers()
    yield subject
    await subject.close(grace_s=5)
    assert threads() == []


class Stuck:
    """A call that hangs until it is released."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        self.release.wait()
        return "late"


async def entered(stuck: Stuck) -> None:
    while not stuck.entered.is_set():
        await asyncio.sleep(0)


async def time_out(workers: FileWorkers, mount: str, call: Callable[[], T], strand: str) -> None:
    with pytest.raises(TimeoutError):
        await workers.run(mount, call, deadline_s=0.02, strand=strand)


async def test_a_result_and_an_error_come_back(workers: FileWorkers) -> None:
    assert await workers.run("/", int, "42", deadline_s=5) == 42
    with pytest.raises(ValueError, match="invalid literal"):
        await workers.run("/", int, "x", deadline_s=5)


async def test_there_is_no_thread_before_the_first_job_and_none_after_closing() -> None:
    subject = FileWorkers()
    assert threads() == []

    await subject.run("/", int, deadline_s=5)
    assert len(threads()) == 1
    await subject.run("/", int, deadline_s=5)
    assert len(threads()) == 1

    await subject.close()
    assert threads() == []


async def test_closing_waits_for_running_jobs_and_refuses_new_ones() -> None:
    subject, stuck, done = FileWorkers(), Stuck(), threading.Event()
    subject.submit("/", stuck, strand="a")
    subject.submit("/", done.set, strand="a")
    await entered(stuck)
    asyncio.get_running_loop().call_later(0.01, stuck.release.set)

    await subject.close(grace_s=5)

    assert done.is_set()
    assert threads() == []
    subject.submit("/", pytest.fail)
    with pytest.raises(RuntimeError, match="closed"):
        await subject.run("/", int, deadline_s=1)


async def test_closing_leaves_a_stuck_thread_behind_and_it_is_a_daemon() -> None:
    subject, stuck = FileWorkers(), Stuck()
    await subject.run("/", int, deadline_s=5)
    subject.submit("/nfs", stuck)
    await entered(stuck)

    await subject.close(grace_s=0.01)

    left = [t for t in threading.enumerate() if t.name.startswith("files ")]
    assert [t.name for t in left] == ["files /nfs 0"]
    assert left[0].daemon
    stuck.release.set()
    await asyncio.to_thread(left[0].join)


async def test_a_stuck_call_is_given_up_at_its_deadline_and_its_result_dropped(
    workers: FileWorkers,
) -> None:
    stuck = Stuck()

    await time_out(workers, "/", stuck, "a")
    stuck.release.set()

    assert await workers.run("/", int, deadline_s=5, strand="a") == 0


async def test_a_strand_never_runs_two_jobs_at_a_time(workers: FileWorkers) -> None:
    stuck, started = Stuck(), threading.Event()
    await time_out(workers, "/", stuck, "a")

    await time_out(workers, "/", started.set, "a")
    await time_out(workers, "/", started.set, "a")
    stuck.release.set()
    await workers._pools["/"].drained.wait()

    # Their callers had gone before their turn came.
    assert not started.is_set()


async def test_jobs_of_a_strand_run_in_their_order(workers: FileWorkers) -> None:
    order: list[int] = []
    stuck = Stuck()
    workers.submit("/", stuck, strand="a")
    for number in range(50):
        workers.submit("/", order.append, number, strand="a")
    stuck.release.set()
    await workers.run("/", int, deadline_s=5, strand="a")

    assert order == list(range(50))


async def test_a_stuck_strand_holds_up_neither_other_strands_nor_other_mounts(
    workers: FileWorkers,
) -> None:
    stuck = Stuck()
    workers.submit("/nfs", stuck, strand="a")
    workers.submit("/nfs", int, strand="a")

    assert await workers.run("/nfs", int, "1", deadline_s=5, strand="b") == 1
    assert await workers.run("/", int, "2", deadline_s=5, strand="a2") == 2
    stuck.release.set()


async def test_a_hung_mount_holds_up_itself_alone_and_comes_back(workers: FileWorkers) -> None:
    calls = [Stuck() for _ in range(THREADS_PER_MOUNT)]
    for number, stuck in enumerate(calls):
        workers.submit("/nfs", stuck, strand=number)

    await time_out(workers, "/nfs", int, "other")
    assert await workers.run("/", int, "1", deadline_s=5) == 1
    assert len(threads()) == THREADS_PER_MOUNT + 1

    for stuck in calls:
        stuck.release.set()
    assert await workers.run("/nfs", int, "2", deadline_s=5) == 2


async def test_what_nobody_waits_for_any_more_is_forgotten_while_a_mount_hangs(
    workers: FileWorkers,
) -> None:
    """A file of 20 MB that is tried again every minute must not pile up for the whole outage."""

    class Content:
        def read(self) -> None:
            pytest.fail("it was given up before it could start")

    calls = [Stuck() for _ in range(THREADS_PER_MOUNT)]
    for number, stuck in enumerate(calls):
        workers.submit("/nfs", stuck, strand=number)
    contents: list[weakref.ref[Content]] = []
    for _ in range(5):
        content = Content()
        contents.append(weakref.ref(content))
        await time_out(workers, "/nfs", content.read, "x")
        del content

    await time_out(workers, "/nfs", int, "y")
    gc.collect()
    assert [ref() for ref in contents] == [None] * 5
    for stuck in calls:
        stuck.release.set()


async def test_an_idle_thread_keeps_nothing_of_its_last_job(workers: FileWorkers) -> None:
    class Secret:
        def use(self) -> str:
            return "used"

    secret = Secret()
    gone = weakref.ref(secret)
    assert await workers.run("/", secret.use, deadline_s=5) == "used"
    del secret
    await workers.run("/other", int, deadline_s=5)
    for _ in range(1000):
        if gone() is None:
            break
        await asyncio.sleep(0.001)

    assert gone() is None


async def test_a_result_is_kept_by_nobody_but_its_caller(workers: FileWorkers) -> None:
    class Content:
        pass

    gc.disable()
    try:
        gone = weakref.ref(await workers.run("/", Content, deadline_s=5))
        async with asyncio.timeout(5):
            while gone() is not None:
                await asyncio.sleep(0.001)
    finally:
        gc.enable()


async def test_a_thread_that_cannot_be_had_is_no_end_of_the_others(
    workers: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", refuse)
        for _ in range(THREADS_PER_MOUNT):
            with pytest.raises(RuntimeError, match="thread"):
                await workers.run("/", int, deadline_s=5, strand="a")
    assert await workers.run("/", int, "1", deadline_s=5, strand="a") == 1

    stuck = Stuck()
    workers.submit("/", stuck, strand="a")
    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", refuse)
        late = asyncio.gather(*(workers.run("/", int, deadline_s=5) for _ in range(5)))
        await entered(stuck)
    stuck.release.set()
    assert await late == [0] * 5


async def test_a_cancelled_caller_does_not_start_its_job(workers: FileWorkers) -> None:
    stuck, started = Stuck(), threading.Event()
    workers.submit("/", stuck, strand="a")
    job = workers.run("/", started.set, deadline_s=None, strand="a")
    task = asyncio.get_running_loop().create_task(job)
    await entered(stuck)

    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    stuck.release.set()
    await workers.run("/", int, deadline_s=5, strand="a")

    assert not started.is_set()


# -- files of one directory -----------------------------------------------------------------------


@pytest.fixture
async def one_thread() -> AsyncIterator[FileWorkers]:
    """Takes everything in a known order."""
    subject = FileWorkers(threads_per_mount=1)
    yield subject
    await subject.close(grace_s=5)


async def publish(workers: FileWorkers, path: Path, content: bytes = b"new") -> PublishedFile:
    publication = Publication(Target(path=str(path)), content)
    return await workers.run_steps("/", publication.steps(), deadline_s=5, strand=path)


async def at_once(workers: FileWorkers, *works: Awaitable[T]) -> list[T]:
    """Let *works* ask for a thread of ``/`` while the only one is busy."""
    stuck = Stuck()
    workers.submit("/", stuck)
    await entered(stuck)
    outcomes = asyncio.gather(*works)
    await asyncio.sleep(0)
    stuck.release.set()
    return await outcomes


class Syncs:
    """Notes what is made durable, and fails for directories as often as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: list[str] = []
        self.fail: list[int] = []
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        self.of.append(path)
        if self.fail and os.path.isdir(path):
            number = self.fail.pop()
            raise OSError(number, os.strerror(number))
        self._fsync(fd)

    @property
    def directories(self) -> list[str]:
        return [path for path in self.of if os.path.isdir(path)]


async def test_16_files_together_wait_once_for_their_directory(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    paths = [tmp_path / str(number) for number in range(16)]

    files = await at_once(one_thread, *(publish(one_thread, path) for path in paths))

    assert all(file.rewritten for file in files)
    assert {path.read_bytes() for path in paths} == {b"new"}
    assert len(syncs.of) == 17
    assert syncs.of[16] == str(tmp_path)


async def test_each_directory_is_made_durable_after_the_last_file_that_waits_for_it(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    paths = [tmp_path / name for name in ("a/1", "b/1", "a/2", "b/2")]

    await at_once(one_thread, *(publish(one_thread, path) for path in paths))
    await publish(one_thread, paths[0], b"newer")

    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert syncs.directories == [a, b, a]


async def test_a_directory_that_cannot_be_made_durable_fails_all_that_wait_for_it(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    Syncs(monkeypatch).fail = [errno.EIO]
    failed, good = [tmp_path / "a" / "1", tmp_path / "a" / "2"], tmp_path / "b" / "1"

    async def refused(path: Path) -> None:
        with pytest.raises(PublishError) as caught:
            await publish(one_thread, path)
        assert (caught.value.path, caught.value.errno) == (str(path), errno.EIO)

    async def taken(path: Path) -> None:
        assert (await publish(one_thread, path)).rewritten

    await at_once(one_thread, *map(refused, failed), taken(good))


async def test_a_directory_that_is_stale_on_the_server_is_tried_again(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    Syncs(monkeypatch).fail = [errno.ESTALE]

    files = await at_once(one_thread, *(publish(one_thread, tmp_path / name) for name in "ab"))

    assert [file.rewritten for file in files] == [True, True]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


async def test_a_directory_that_is_swapped_between_two_files_gets_both_in_its_new_place(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file being there says nothing about the directory of the first."""
    monkeypatch.setattr(attempt_module, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    syncs, place = Syncs(monkeypatch), tmp_path / "config"
    place.mkdir()

    def swap() -> None:
        place.rename(tmp_path / "moved")
        place.mkdir()

    await at_once(
        one_thread,
        publish(one_thread, place / "a"),
        one_thread.run("/", swap, deadline_s=5),
        publish(one_thread, place / "b"),
    )

    assert sorted(os.listdir(place)) == ["a", "b"]
    assert syncs.directories == [str(tmp_path / "moved"), str(place), str(place)]


async def test_a_directory_that_is_removed_before_it_is_durable_is_made_again(
    tmp_path: Path, one_thread: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    place = tmp_path / "config"

    await at_once(
        one_thread,
        publish(one_thread, place / "a"),
        publish(one_thread, place / "b"),
        one_thread.run("/", shutil.rmtree, place, deadline_s=5),
    )

    assert sorted(os.listdir(place)) == ["a", "b"]


async def test_a_file_that_waits_for_its_directory_goes_on_after_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, stuck = FileWorkers(threads_per_mount=1), Stuck()

    def sync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            stuck()

    monkeypatch.setattr(os, "fsync", sync)
    work = asyncio.get_running_loop().create_task(publish(subject, tmp_path / "a"))
    await entered(stuck)
    left = [t for t in threading.enumerate() if t.name.startswith("files ")]
    await subject.close(grace_s=0.01)
    stuck.release.set()

    assert (await work).rewritten
    await asyncio.to_thread(left[0].join)


async def test_a_file_that_is_stuck_does_not_hold_up_one_that_waits_for_its_directory(
    tmp_path: Path, workers: FileWorkers
) -> None:
    stuck = Stuck()
    workers.submit("/", stuck, strand="stuck")
    await entered(stuck)

    assert (await publish(workers, tmp_path / "a")).rewritten
    stuck.release.set()
