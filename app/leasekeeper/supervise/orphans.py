"""The duty of process 1: to collect processes whose parents have gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

LOOK_EVERY_S = 5.0


async def reap_orphans() -> NoReturn:
    """Collect what nobody else does. Never returns; for process 1, or a child subreaper.

    The children that we have started ourselves are collected at once by those who wait for them.
    So whatever has been a zombie for a whole interval is somebody else's.
    """
    seen: set[int] = set()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        seen = reap(seen)


def reap(seen: set[int]) -> set[int]:
    """Collect the zombies among *seen*; return those that were not in it."""
    found = set(_zombies())
    for pid in found & seen:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return found - seen


def _zombies() -> Iterator[int]:
    ours = str(os.getpid())
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # Behind the name, which may hold anything: state and parent.
                state, parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and parent == ours:
                    yield int(entry.name)
