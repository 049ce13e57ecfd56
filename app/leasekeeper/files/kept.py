"""Content that is put where it belongs, and kept as it was put."""

from __future__ import annotations

import asyncio
import errno
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from leasekeeper.errors import OutputError
from leasekeeper.files.attempt import Attempt
from leasekeeper.files.file_errors import publish_error
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.telemetry.events import log

C = TypeVar("C")
T = TypeVar("T")

Check = Callable[[str], Awaitable[None]]
"""Raises for new content that may not be published; it is staged at the path given."""


class Published(Protocol):
    """What an attempt has put in place, or has found there."""

    @property
    def fingerprint(self) -> Any:
        """While it stays the same, so has everything."""

    @property
    def rewritten(self) -> bool:
        """Whether this attempt has put it there."""

    @property
    def mended(self) -> bool:
        """Whether this attempt has put only mode or owner right."""

    @property
    def forced(self) -> bool:
        """Whether the file system keeps another mode or owner than it was told."""


class Kept(ABC, Generic[C]):
    """Remembers the last good content, to repair what is on disk from memory.

    *fields* say in the log whose it is. `put`, `repair` and `remove` wait for worker threads; one
    of them at a time, please.
    """

    def __init__(
        self,
        path: str,
        *,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        **fields: object,
    ) -> None:
        self._path = path
        self._workers = workers
        self._mount = mount
        self._deadline_s = deadline_s
        self._fields = fields
        self._content: C | None = None
        self._fingerprint: Any = None
        self._in_doubt = False

    @abstractmethod
    def _attempt(self, content: C) -> Attempt[Any]:
        """Return an attempt to publish *content*."""

    @abstractmethod
    def _looks_good(self, fingerprint: Any) -> bool:
        """Whether all is as *fingerprint* says. Blocks."""

    @abstractmethod
    def _take_away(self, fingerprint: Any) -> bool:
        """Remove what *fingerprint* says, and nothing else; whether it was there. Blocks."""

    def holds(self, content: C) -> bool:
        """Whether *content* is what was put there last."""
        return content == self._content

    async def put(self, content: C, *, check: Check | None = None, check_s: float = 0.0) -> bool:
        """Put *content* in place; return whether that is news to a reader.

        A *check* may take *check_s* seconds more; it is left out if the content is there already.

        :raises OutputError: if the check or the file system refuses it, or the latter hangs.
        """
        found = await self._publish(content, check, self._deadline_s + check_s)
        # Two of three: an attempt that was given up may have got as far as the switch unnoticed,
        # and a new process finds what the last one has published.
        news = sum((not self.holds(content), found.rewritten, self._in_doubt)) > 1
        self._content = content
        self._note(found, restored=found.rewritten and not news)
        return news

    @property
    def look(self) -> Callable[[], bool] | None:
        """What tells, in a worker thread, whether all is as it was left; None: `repair` knows.

        It may be wrong while one of the other methods is at work.
        """
        if self._content is None or self._in_doubt:
            return None
        return partial(self._looks_good, self._fingerprint)

    async def repair(self) -> None:
        """Put the last content back if something is not as it was left.

        After a failure only the next `put` mends it.

        :raises OutputError: if the file system refuses or hangs.
        """
        # In doubt the newer content may be there already: leave it to the next `put`.
        if self._content is None or self._in_doubt:
            return
        if not await self._in_thread("looking at", self._looks_good, self._fingerprint):
            found = await self._publish(self._content, None, self._deadline_s)
            self._note(found, restored=found.rewritten)

    async def remove(self) -> None:
        """Take it away, unless it is not what was put there last.

        A failure is logged: this is for the end, when nobody can mend it.
        """
        if self._fingerprint is None:
            return
        try:
            if await self._in_thread("removing", self._take_away, self._fingerprint):
                log.info("file.removed", **self._fields)
        except OutputError as error:
            log.warning("file.removal_failed", **self._fields, error=str(error), code=error.code)

    async def _in_thread(self, doing: str, function: Callable[..., T], *args: object) -> T:
        path = self._path
        try:
            return await self._workers.run(
                self._mount, function, *args, deadline_s=self._deadline_s, strand=path
            )
        except TimeoutError:
            raise publish_error(path, doing, errno.ETIMEDOUT) from None

    async def _publish(self, content: C, check: Check | None, deadline_s: float) -> Published:
        attempt = self._attempt(content)
        try:
            async with asyncio.timeout(deadline_s):
                return await self._stage_and_commit(attempt, check)
        except BaseException as error:
            attempt.revoke()
            self._in_doubt = self._in_doubt or attempt.in_doubt
            if attempt.begun:
                # In the same strand, so after the call that hangs.
                self._workers.submit(self._mount, attempt.discard, strand=self._path)
            if isinstance(error, TimeoutError):
                raise publish_error(self._path, "writing", errno.ETIMEDOUT) from None
            raise

    async def _stage_and_commit(
        self, attempt: Attempt[Published], check: Check | None
    ) -> Published:
        mount, path = self._mount, self._path
        if check is not None:
            found = await self._workers.run(mount, attempt.stage, deadline_s=None, strand=path)
            if found is not None:
                return found
            await check(attempt.temp_path)
        # Stages as well what is not staged yet: one way to a thread and back instead of two.
        return await self._workers.run_steps(mount, attempt.steps(), deadline_s=None, strand=path)

    def _note(self, found: Published, *, restored: bool) -> None:
        self._fingerprint = found.fingerprint
        self._in_doubt = False
        if restored:
            log.warning("file.repaired", **self._fields, repaired="content")
        if found.mended:
            log.warning("file.repaired", **self._fields, repaired="mode or owner")
