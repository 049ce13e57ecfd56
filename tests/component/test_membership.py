"""One of several tasks on a real folder, whose calls hang as on a lost NFS server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leasekeeper import membership as module
from leasekeeper.errors import LeadershipLost, StartupDeadlineExceeded
from leasekeeper.files import election
from leasekeeper.membership import Membership
from leasekeeper.settings.model import Settings


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)


class Hang:
    """Calls that come here while it is on do not return before it is over."""

    def __init__(self) -> None:
        self.on = False
        self.threads: list[threading.Thread] = []
        self.over = threading.Event()

    def wait(self) -> None:
        if self.on:
            self.threads.append(threading.current_thread())
            self.over.wait(30)


@pytest.fixture
def hang() -> Iterator[Hang]:
    hang = Hang()
    yield hang
    hang.over.set()


def member(tmp_path: Path, **lifecycle: Any) -> Membership:
    settings = Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": f"{tmp_path}/out", "template": "x"}],
            "shared": {"directory": f"{tmp_path}/shared", "takeover_after": "3s"},
            "lifecycle": lifecycle,
        }
    )
    return Membership(settings, asyncio.Event(), Random(1))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_task_that_stands_by_says_that_its_volume_hangs_and_ends_all_the_same(
    tmp_path: Path, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = election._read

    def slow_look(directory: str) -> Any:
        hang.wait()
        return look(directory)

    monkeypatch.setattr(election, "_read", slow_look)
    (tmp_path / "out").touch()
    async with member(tmp_path) as leader, member(tmp_path) as other:
        assert await leader.wait_to_lead()
        other._takeover_after_s = 0.2
        waiting = asyncio.get_running_loop().create_task(other.wait_to_lead())
        await until(lambda: other.view.standby.election.manifest is not None)
        hang.on = True
        await until(lambda: any("does not answer" in each for each in other.view.standby.reasons()))
        assert not waiting.done()
        other._stop.set()
        assert not await waiting
    assert not hang.over.is_set()
    assert threading.main_thread() not in hang.threads


async def test_who_resigns_waits_for_no_volume(
    tmp_path: Path, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock was closed in the event loop: health did not answer while the server was away."""
    close = election._close

    def slow_close(fd: int | None) -> None:
        hang.wait()
        close(fd)

    monkeypatch.setattr(election, "_close", slow_close)
    async with member(tmp_path) as leader:
        assert await leader.wait_to_lead()

        async def lose() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())

        async def fail() -> None:
            raise LeadershipLost("another task leads")

        hang.on = True
        assert not await leader.led(lose)
    await until(lambda: hang.threads)
    assert threading.main_thread() not in hang.threads


async def test_a_start_is_given_up_when_no_leader_puts_the_files_in_place_in_time(
    tmp_path: Path,
) -> None:
    async with member(tmp_path) as leader, member(tmp_path, startup_deadline="1s") as other:
        assert await leader.wait_to_lead()
        with pytest.raises(StartupDeadlineExceeded, match="/out is not there yet"):
            await other.wait_to_lead()
