"""Looking at many files at once: who is reported, and what a hung volume changes."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.patrol import Look, Patrol


@dataclass
class File:
    name: str
    look: Look | None = None


class Workers(FileWorkers):
    """Does at once what comes, or hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = 0
        self.hang = False

    async def run(
        self, mount: str, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        self.jobs += 1
        if self.hang:
            async with asyncio.timeout(options["deadline_s"]):
                await asyncio.Event().wait()
        return function(*args)


@pytest.fixture
def workers() -> Workers:
    return Workers()


async def reported(
    workers: Workers, files: Sequence[File], *, during_s: float, then_every_s: float = 0
) -> list[str]:
    """Return the names of what a patrol every 10 s reports, and then at another interval."""
    names: list[str] = []
    patrol = Patrol(10, workers=workers, rng=random.Random(1))
    walk = asyncio.get_running_loop().create_task(
        patrol.walk("/", lambda: files, lambda file: names.append(file.name)), name="patrol"
    )
    await asyncio.sleep(during_s)
    if then_every_s:
        patrol.every(then_every_s)
        await asyncio.sleep(during_s)
    walk.cancel()
    await asyncio.wait([walk])
    return names


def refused() -> bool:
    raise PublishError("no", path="/x")


async def test_what_is_not_in_order_or_cannot_be_seen_is_reported(workers: Workers) -> None:
    files = [
        File("good", lambda: True),
        File("changed", lambda: False),
        File("only its repair can tell"),
        File("refused", refused),
    ]

    assert await reported(workers, files, during_s=11) == [file.name for file in files[1:]]
    assert workers.jobs == 1


async def test_nothing_goes_to_a_thread_when_there_is_nothing_to_look_at(workers: Workers) -> None:
    assert await reported(workers, [File("new")], during_s=11) == ["new"]
    assert workers.jobs == 0


async def test_every_file_is_looked_at_within_the_interval(workers: Workers) -> None:
    files = [File(str(number), lambda: False) for number in range(1000)]

    assert sorted(await reported(workers, files, during_s=10)) == sorted(
        file.name for file in files
    )
    assert workers.jobs == 20


async def test_on_a_hung_volume_everybody_finds_out_for_himself(workers: Workers) -> None:
    """And only one look hangs, however many files there are."""
    workers.hang = True
    files = [File(str(number), lambda: True) for number in range(1000)]

    assert await reported(workers, files, during_s=12.1) == [file.name for file in files]
    assert workers.jobs == 1


async def test_another_interval_counts_at_once(workers: Workers) -> None:
    files = [File("changed", lambda: False)]

    assert len(await reported(workers, files, during_s=7, then_every_s=2)) in (3, 4)
    assert len(await reported(workers, files, during_s=7, then_every_s=math.inf)) == 0
