"""Folders of one task each on a volume of many: marked while it lives, removed when it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from leasekeeper.files.directory import DIRECTORY_FLAGS, open_directory
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.generations import store_of
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.preflight import sweep
from leasekeeper.files.target import Target
from leasekeeper.telemetry.events import log

MARKER = ".leasekeeper-task"
TOUCH_EVERY_S = 60.0
"""How often the marker says that the task lives, and the dead are looked for."""
DEADLINE_S = 30.0
_VERSION = 1
_LARGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder, what folders of other tasks beside it are called, and our files below it."""

    path: str
    siblings: re.Pattern[str]
    files: tuple[str, ...]


class TaskFolders:
    """Keeps our markers fresh and removes what dead tasks have left behind.

    A task counts as dead when nobody holds its marker locked, and nobody has touched it for
    *dead_after_s* seconds; 0 is never.
    """

    def __init__(self, places: Sequence[Place], *, dead_after_s: float) -> None:
        self._places = places
        self._dead_after_s = dead_after_s
        self._markers: dict[str, int] = {}

    async def run(self) -> NoReturn:
        """Do that again and again. Never returns; leaves when it is cancelled."""
        workers, mounts = FileWorkers(), Mounts.current()
        try:
            while True:
                for place in self._places:
                    with contextlib.suppress(TimeoutError, OSError):
                        removed = await workers.run(
                            mounts.of(place.path), self.visit, place, deadline_s=DEADLINE_S
                        )
                        if removed:
                            log.info("file.dead_tasks_removed", folders=removed)
                await asyncio.sleep(TOUCH_EVERY_S)
        finally:
            for place in self._places:
                workers.submit(mounts.of(place.path), self.leave, place)
            await workers.close(grace_s=0.2)

    def visit(self, place: Place) -> list[str]:
        """Touch our marker; return the folders of dead tasks that have been removed. Blocks."""
        self._touch(place)
        return list(self._remove_dead(place)) if self._dead_after_s else []

    def leave(self, place: Place) -> None:
        """Let go of our folder; remove it when nothing but the marker is in it. Blocks."""
        marker = self._markers.pop(place.path, None)
        if marker is None:
            return
        os.close(marker)
        with contextlib.suppress(OSError):
            if os.listdir(place.path) == [MARKER]:
                os.unlink(os.path.join(place.path, MARKER))
                os.rmdir(place.path)

    def _touch(self, place: Place) -> None:
        marker = self._markers.get(place.path)
        if marker is not None and os.path.exists(os.path.join(place.path, MARKER)):
            os.utime(marker)
            return
        if marker is not None:  # somebody has removed it
            os.close(self._markers.pop(place.path))
        self._markers[place.path] = _mark(place)

    def _remove_dead(self, place: Place) -> Iterator[str]:
        parent, own = os.path.split(place.path)
        ours = os.fstat(self._markers[place.path]).st_uid
        for name in os.listdir(parent):
            path = os.path.join(parent, name)
            if name != own and place.siblings.fullmatch(name):
                with contextlib.suppress(OSError, ValueError):
                    if self._remove_if_dead(path, ours):
                        yield path

    def _remove_if_dead(self, path: str, uid: int) -> bool:
        fd = os.open(path, DIRECTORY_FLAGS | os.O_NOFOLLOW)
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            marker = os.open(MARKER, flags, dir_fd=fd)
        finally:
            os.close(fd)
        with open(marker, "r+b") as file:
            status = os.fstat(marker)
            silent_s = time.time() - status.st_mtime
            if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
                return False
            if silent_s < self._dead_after_s:
                return False
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path, _files_in(file.read(_LARGEST_BYTES)))
        return not os.path.exists(path)


def _mark(place: Place) -> int:
    path = os.path.join(place.path, MARKER)
    os.close(open_directory(Target(path=path)))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    # The process before us, in the same task, may hold it for a moment still.
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    files = [os.path.relpath(file, place.path) for file in place.files]
    data = json.dumps({"version": _VERSION, "files": files}).encode()
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))
    return fd


def _files_in(data: bytes) -> list[str]:
    """Return the files that a marker names.

    :raises ValueError: if it makes no sense, or names something outside its folder.
    """
    document = json.loads(data)
    files = document["files"] if isinstance(document, dict) and "files" in document else None
    if not isinstance(files, list) or document.get("version") != _VERSION:
        raise ValueError("not a marker")
    for file in files:
        if not isinstance(file, str) or file.startswith("/") or ".." in file.split("/"):
            raise ValueError("not a marker")
    return files


def _remove(folder: str, files: Sequence[str]) -> None:
    """Remove *files* and what we keep beside them, and every folder that is empty then."""
    paths = [os.path.join(folder, file) for file in files]
    sweep([Target(path=path) for path in paths])
    for path in paths:
        if os.path.isdir(store_of(path)) and not os.path.islink(store_of(path)):
            shutil.rmtree(store_of(path))
        with contextlib.suppress(OSError):
            os.unlink(path)
    for path in sorted({os.path.dirname(path) for path in paths}, key=len, reverse=True):
        while path != folder:
            with contextlib.suppress(OSError):
                os.rmdir(path)
            path = os.path.dirname(path)
    os.unlink(os.path.join(folder, MARKER))
    with contextlib.suppress(OSError):  # somebody else's files stay
        os.rmdir(folder)
