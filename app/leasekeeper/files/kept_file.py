"""A file that is put where it belongs, and kept as it was put."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

from leasekeeper.errors import OutputError
from leasekeeper.files.file_errors import publish_error
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.publish import (
    Fingerprint,
    Publication,
    PublishedFile,
    is_as_published,
    is_missing,
    remove_published,
)
from leasekeeper.files.target import Target
from leasekeeper.telemetry.events import log

Check = Callable[[str], Awaitable[None]]
"""Raises for new content that may not be published; it is staged at the path given."""


class KeptFile:
    """Remembers the last good content, to repair the file from memory.

    *fields* say in the log whose file it is. `put` and `repair` wait for worker threads; one of
    them at a time, please.
    """

    def __init__(
        self,
        target: Target,
        *,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        **fields: object,
    ) -> None:
        self._target = target
        self._workers = workers
        self._mount = mount
        self._deadline_s = deadline_s
        self._fields = fields
        self._content: bytes | None = None
        self._fingerprint: Fingerprint | None = None
        self._in_doubt = False
        self._forced_logged = False

    def holds(self, content: bytes) -> bool:
        """Whether *content* is what was put there last."""
        return content == self._content

    async def put(
        self, content: bytes, *, check: Check | None = None, check_s: float = 0.0
    ) -> bool:
        """Put *content* in place; return whether that is news to a reader.

        A *check* may take *check_s* seconds more; it is left out if the content is there already.

        :raises OutputError: if the check or the file system refuses it, or the latter hangs.
        """
        file = await self._publish(content, check, self._deadline_s + check_s)
        # Two of three: an attempt that was given up may have got as far as the rename unnoticed,
        # and a new process finds the file of the last one.
        news = sum((not self.holds(content), file.rewritten, self._in_doubt)) > 1
        self._content = content
        self._note(file, restored=file.rewritten and not news)
        return news

    async def repair(self) -> None:
        """Put the last content back if the file is not as it was left.

        After a failure only the next `put` mends the file.

        :raises OutputError: if the file system refuses or hangs.
        """
        # In doubt the newer content may be there already: leave it to the next `put`.
        if self._content is not None and not self._in_doubt and not await self._is_intact():
            file = await self._publish(self._content, None, self._deadline_s)
            self._note(file, restored=file.rewritten)

    async def is_missing(self) -> bool:
        """Whether there is nothing at the path.

        :raises OutputError: if the file system does not tell.
        """
        return await self._look(is_missing)

    async def remove(self) -> None:
        """Take the file away, unless it is not the one that was put there last.

        A failure is logged: this is for the end, when nobody can mend it.
        """
        if self._fingerprint is None:
            return
        try:
            if await self._look(remove_published, self._fingerprint):
                log.info("file.removed", **self._fields)
        except OutputError as error:
            log.warning("file.removal_failed", **self._fields, error=str(error))

    async def _is_intact(self) -> bool:
        return await self._look(is_as_published, self._fingerprint)

    async def _look(self, function: Callable[..., bool], *args: object) -> bool:
        path = self._target.path
        try:
            return await self._workers.run(
                self._mount, function, path, *args, deadline_s=self._deadline_s, strand=path
            )
        except TimeoutError:
            raise publish_error(path, "looking at", errno.ETIMEDOUT) from None

    async def _publish(
        self, content: bytes, check: Check | None, deadline_s: float
    ) -> PublishedFile:
        publication = Publication(self._target, content)
        try:
            async with asyncio.timeout(deadline_s):
                return await self._stage_and_commit(publication, check)
        except BaseException as error:
            publication.revoke()
            self._in_doubt = self._in_doubt or publication.in_doubt
            if publication.begun:
                # In the same strand, so after the call that hangs.
                self._workers.submit(self._mount, publication.discard, strand=self._target.path)
            if isinstance(error, TimeoutError):
                raise publish_error(self._target.path, "writing", errno.ETIMEDOUT) from None
            raise

    async def _stage_and_commit(
        self, publication: Publication, check: Check | None
    ) -> PublishedFile:
        mount, path = self._mount, self._target.path
        found = await self._workers.run(mount, publication.stage, deadline_s=None, strand=path)
        if found is not None:
            return found
        if check is not None:
            await check(publication.temp_path)
        return await self._workers.run(mount, publication.commit, deadline_s=None, strand=path)

    def _note(self, file: PublishedFile, *, restored: bool) -> None:
        self._fingerprint = file.fingerprint
        self._in_doubt = False
        if restored:
            log.warning("file.repaired", **self._fields, repaired="content")
        if file.mended:
            log.warning("file.repaired", **self._fields, repaired="mode or owner")
        if file.forced and not self._forced_logged:
            self._forced_logged = True
            mark = file.fingerprint
            log.warning(
                "file.owner_forced",
                **self._fields,
                uid=mark.uid,
                gid=mark.gid,
                mode=f"{mark.mode & 0o7777:04o}",
                hint="the file system decides; an EFS access point with a POSIX user does this",
            )
