"""Local files that templates use: read in worker threads, watched by `stat`.

Not inotify: it does not see what other clients do to a network file system.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from leasekeeper.errors import AgentError, OutputError, UnreadableFile
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.templates.source import FileRequest

WATCH_INTERVAL_S = 2.0
"""Between two looks at a file; a `stat` on EFS takes a millisecond or two."""
READ_DEADLINE_S = 30.0
LARGEST_BYTES = 64 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Content:
    identity: _Identity
    text: str = field(repr=False)


class WatchedFiles:
    """The content of every file that was asked for, kept up to date.

    A file that goes away or cannot be read any more keeps its last content; one that was never
    read has none. *on_change* hears of every new content; *on_bug* of errors that nobody expects.
    """

    def __init__(
        self,
        workers: FileWorkers,
        mounts: Mounts,
        *,
        on_change: Callable[[FileRequest], None],
        on_bug: Callable[[str, BaseException], None],
    ) -> None:
        self._workers = workers
        self._mounts = mounts
        self._on_change = on_change
        self._nursery = Nursery(on_bug)
        self._contents: dict[FileRequest, _Content | None] = {}
        self._troubles: dict[FileRequest, Trouble] = {}
        self._looking: set[FileRequest] = set()
        self._any = asyncio.Event()

    def text(self, request: FileRequest) -> str | None:
        """Return the last known content, or None. Bytes that are not UTF-8 become surrogates."""
        content = self._contents.get(request)
        return content.text if content else None

    def error(self, request: FileRequest) -> AgentError | None:
        """Return why *request* cannot be read at present, if it cannot."""
        trouble = self._troubles.get(request)
        return trouble.error if trouble else None

    def require(self, requests: Iterable[FileRequest]) -> None:
        """Read and watch *requests* from now on."""
        for request in requests:
            if request not in self._contents:
                self._contents[request] = None
                self._troubles[request] = Trouble("file.read", path=request.path)
                self._any.set()
                self._look_at(request)

    async def run(self) -> NoReturn:
        """Look at every file again and again. Never returns."""
        await self._any.wait()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            for request in self._contents:
                self._look_at(request)

    async def close(self) -> None:
        """Stop looking."""
        await self._nursery.close()

    def _look_at(self, request: FileRequest) -> None:
        if request not in self._looking:
            self._looking.add(request)
            self._nursery.start(f"watch {request.path}", self._look(request))

    async def _look(self, request: FileRequest) -> None:
        known = self._contents[request]
        try:
            content = await self._workers.run(
                self._mounts.of(request.path),
                _read_if_new,
                request.path,
                known.identity if known else None,
                deadline_s=READ_DEADLINE_S,
                strand=request,
            )
        except (OSError, ValueError) as error:
            reason = _reason(error)
            message = f"file({request.path}): {reason}: a template uses it"
            known_as = OutputError if isinstance(error, IsADirectoryError) else UnreadableFile
            self._troubles[request].failed(known_as(message))
            return
        finally:
            self._looking.discard(request)
        self._troubles[request].recovered()
        if content is not None:
            self._contents[request] = content
            if known is None or content.text != known.text:
                self._on_change(request)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "no file can have this name"
    return (error.strerror or "the file system does not answer").lower()


def _read_if_new(path: str, known: _Identity | None) -> _Content | None:
    if known is not None and _identity(os.stat(path)) == known:
        return None
    fd = os.open(path, _FLAGS)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a regular file")
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise OSError(0, f"it is larger than {LARGEST_BYTES >> 20} MiB")
    return _Content(_identity(status), data.decode("utf-8", "surrogateescape"))


def _identity(status: os.stat_result) -> _Identity:
    return status.st_ino, status.st_mtime_ns, status.st_size
