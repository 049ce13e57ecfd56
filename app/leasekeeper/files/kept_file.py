"""A file that is put where it belongs, and kept as it was put."""

from __future__ import annotations

import os
from typing import Any

from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.kept import Kept, Published
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


class KeptFile(Kept[bytes]):
    """One file at *target*; *fence* is asked before every rename."""

    def __init__(
        self,
        target: Target,
        *,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        fence: Fence = no_fence,
        **fields: object,
    ) -> None:
        super().__init__(target.path, workers=workers, mount=mount, deadline_s=deadline_s, **fields)
        self._target = target
        self._fence = fence
        self._forced_logged = False

    async def is_missing(self) -> bool:
        """Whether there is nothing at the path.

        :raises OutputError: if the file system does not tell.
        """
        return await self._in_thread("looking at", is_missing, self._path)

    def _attempt(self, content: bytes) -> Publication:
        other = None if self.holds(content) else self._fingerprint
        return Publication(self._target, content, fence=self._fence, other=other)

    def _looks_good(self, fingerprint: Any) -> bool:
        return is_as_published(self._path, fingerprint)

    def _take_away(self, fingerprint: Any) -> bool:
        return remove_published(self._path, fingerprint)

    def _note(self, found: Published, *, restored: bool) -> None:
        super()._note(found, restored=restored)
        if isinstance(found, PublishedFile) and found.backup_errno:
            because = os.strerror(found.backup_errno)
            log.warning("file.backup_failed", **self._fields, because=because, code="LK-FILE-006")
        if found.forced and not self._forced_logged:
            self._forced_logged = True
            mark: Fingerprint = found.fingerprint
            log.warning(
                "file.owner_forced",
                **self._fields,
                uid=mark.uid,
                gid=mark.gid,
                mode=f"{mark.mode & 0o7777:04o}",
                hint="the file system decides; an EFS access point with a POSIX user does this",
            )
