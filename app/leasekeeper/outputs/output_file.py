"""The file of one output: putting content there, and keeping it as it was put."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from functools import partial

from leasekeeper.errors import ValidationFailed
from leasekeeper.outputs.commands import child_environment
from leasekeeper.outputs.file_errors import publish_error
from leasekeeper.outputs.file_workers import FileWorkers
from leasekeeper.outputs.publish import Fingerprint, Publication, PublishedFile, is_as_published
from leasekeeper.outputs.target import Target
from leasekeeper.outputs.validate import check_command, check_format
from leasekeeper.settings.model import OutputSection
from leasekeeper.telemetry.events import log
from leasekeeper.templates.source import Effect

_VALIDATION_POOL = "validation"  # not the name of a mount, which starts with a slash


class OutputFile:
    """Remembers the last good content, to repair the file from memory.

    `put` and `repair` wait for worker threads; one of them at a time, please.
    """

    def __init__(
        self,
        section: OutputSection,
        *,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        environ: Mapping[str, str],
    ) -> None:
        self._section = section
        self._target = Target.of(section)
        self._workers = workers
        self._mount = mount
        self._deadline_s = deadline_s
        self._environ = environ
        self._content: bytes | None = None
        self._fingerprint: Fingerprint | None = None
        self._in_doubt = False
        self._forced_logged = False

    def holds(self, content: bytes) -> bool:
        """Whether *content* is what was put there last."""
        return content == self._content

    async def put(self, content: bytes) -> bool:
        """Validate *content* and put it in place; return whether that is news to a reader.

        :raises OutputError: if it is not valid, or if the file system refuses it or hangs.
        """
        await self._check_format(content)
        file = await self._publish(content)
        # Two of three: an attempt that was given up may have got as far as the rename unnoticed,
        # and a new process finds the file of the last one.
        news = sum((not self.holds(content), file.rewritten, self._in_doubt)) > 1
        self._content = content
        self._note(file, restored=file.rewritten and not news)
        return news

    async def apply(self, effects: Sequence[Effect]) -> None:
        """Do what the template wants done besides its text, in order.

        :raises OutputError: if the file system refuses or hangs.
        """
        path = self._target.path
        for effect in effects:
            try:
                await self._workers.run(
                    self._mount, effect.apply, deadline_s=self._deadline_s, strand=path
                )
            except TimeoutError:
                raise publish_error(path, "writing beside", errno.ETIMEDOUT) from None

    async def repair(self) -> None:
        """Put the last content back if the file is not as it was left.

        :raises OutputError: if the file system refuses or hangs.
        """
        # In doubt the newer content may be there already: leave it to the next `put`.
        if self._content is not None and not self._in_doubt and not await self._is_intact():
            file = await self._publish(self._content)
            self._note(file, restored=file.rewritten)

    async def _is_intact(self) -> bool:
        path = self._target.path
        try:
            return await self._workers.run(
                self._mount,
                is_as_published,
                path,
                self._fingerprint,
                deadline_s=self._deadline_s,
                strand=path,
            )
        except TimeoutError:
            raise publish_error(path, "looking at", errno.ETIMEDOUT) from None

    async def _check_format(self, content: bytes) -> None:
        kind = self._section.validate_as
        if kind is None or self.holds(content):
            return
        path, timeout_s = self._target.path, self._section.validate_timeout
        try:
            await self._workers.run(
                _VALIDATION_POOL,
                partial(check_format, kind, content, destination=path),
                deadline_s=timeout_s,
                strand=path,
            )
        except TimeoutError:
            msg = f"validating the new content of {path} as {kind} took more than {timeout_s:g} s"
            raise ValidationFailed(msg) from None

    async def _publish(self, content: bytes) -> PublishedFile:
        publication = Publication(self._target, content)
        try:
            async with asyncio.timeout(self._deadline_s + self._command_s(content)):
                return await self._stage_and_commit(publication, content)
        except BaseException as error:
            publication.revoke()
            self._in_doubt = self._in_doubt or publication.in_doubt
            if publication.begun:
                # In the same strand, so after the call that hangs.
                self._workers.submit(self._mount, publication.discard, strand=self._target.path)
            if isinstance(error, TimeoutError):
                raise publish_error(self._target.path, "writing", errno.ETIMEDOUT) from None
            raise

    def _command_s(self, content: bytes) -> float:
        """Return how long `validate_command` may take, 0 if there is nothing for it to do."""
        if self._section.validate_command is None or self.holds(content):
            return 0.0
        return self._section.validate_timeout

    async def _stage_and_commit(self, publication: Publication, content: bytes) -> PublishedFile:
        mount, path = self._mount, self._target.path
        found = await self._workers.run(mount, publication.stage, deadline_s=None, strand=path)
        if found is not None:
            return found
        if self._command_s(content):
            await check_command(
                self._section.validate_command or (),
                publication.temp_path,
                destination=path,
                environ=child_environment(self._environ, destination=path),
                timeout_s=self._section.validate_timeout,
            )
        return await self._workers.run(mount, publication.commit, deadline_s=None, strand=path)

    def _note(self, file: PublishedFile, *, restored: bool) -> None:
        name = self._section.label
        self._fingerprint = file.fingerprint
        self._in_doubt = False
        if restored:
            log.warning("file.repaired", output=name, repaired="content")
        if file.mended:
            log.warning("file.repaired", output=name, repaired="mode or owner")
        if file.forced and not self._forced_logged:
            self._forced_logged = True
            mark = file.fingerprint
            log.warning(
                "file.owner_forced",
                output=name,
                uid=mark.uid,
                gid=mark.gid,
                mode=f"{mark.mode & 0o7777:04o}",
                hint="the file system decides; an EFS access point with a POSIX user does this",
            )
