"""The file of one output: content that is valid, and what its template wants written besides."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from functools import partial

from leasekeeper.errors import ValidationFailed
from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_errors import publish_error
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.kept_file import KeptFile
from leasekeeper.files.target import Target
from leasekeeper.outputs.commands import child_environment
from leasekeeper.outputs.patrol import Look
from leasekeeper.outputs.validate import check_command, check_format
from leasekeeper.settings.model import OutputSection
from leasekeeper.templates.source import Effect

_VALIDATION_POOL = "validation"  # not the name of a mount, which starts with a slash


class OutputFile:
    """A `KeptFile` that only takes valid content.

    `put`, `apply` and `repair` wait for worker threads; one of them at a time, please.
    """

    def __init__(
        self,
        section: OutputSection,
        *,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        environ: Mapping[str, str],
        fence: Fence = no_fence,
    ) -> None:
        self._section = section
        self._path = section.destination
        self._workers = workers
        self._mount = mount
        self._deadline_s = deadline_s
        self._environ = environ
        self._file = KeptFile(
            Target.of(section),
            workers=workers,
            mount=mount,
            deadline_s=deadline_s,
            fence=fence,
            output=section.label,
        )

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return os.path.basename(self._path)

    @property
    def look(self) -> Look | None:
        """How to see whether the file is as it was left."""
        return self._file.look

    def holds(self, content: bytes) -> bool:
        """Whether *content* is what was put there last."""
        return self._file.holds(content)

    async def put(self, content: bytes) -> bool:
        """Validate *content* and put it in place; return whether that is news to a reader.

        :raises OutputError: if it is not valid, or if the file system refuses it or hangs.
        """
        if self.holds(content):
            return await self._file.put(content)
        await self.check_format(content)
        if self._section.validate_command is None:
            return await self._file.put(content)
        return await self._file.put(
            content, check=self.check_staged, check_s=self._section.validate_timeout
        )

    async def apply(self, effects: Sequence[Effect]) -> None:
        """Do what the template wants done besides its text, in order.

        :raises OutputError: if the file system refuses or hangs.
        """
        for effect in effects:
            try:
                await self._workers.run(
                    self._mount, effect.apply, deadline_s=self._deadline_s, strand=self._path
                )
            except TimeoutError:
                raise publish_error(self._path, "writing beside", errno.ETIMEDOUT) from None

    async def repair(self) -> None:
        """Put the last content back if the file is not as it was left.

        :raises OutputError: if the file system refuses or hangs.
        """
        await self._file.repair()

    async def remove(self) -> None:
        """Take the file away, unless somebody else has replaced it; a failure is logged."""
        await self._file.remove()

    async def check_format(self, content: bytes) -> None:
        """Make sure that *content* parses, if that was asked for.

        :raises OutputError: if it does not, or if that takes too long.
        """
        kind, timeout_s = self._section.validate_as, self._section.validate_timeout
        if kind is None:
            return
        try:
            await self._workers.run(
                _VALIDATION_POOL,
                partial(check_format, kind, content, destination=self._path),
                deadline_s=timeout_s,
                strand=self._path,
            )
        except TimeoutError:
            msg = (
                f"validating the new content of {self._path} as {kind}"
                f" took more than {timeout_s:g} s"
            )
            raise ValidationFailed(msg) from None

    async def check_staged(self, staged_path: str) -> None:
        """Let the operator's program look at the new content, if there is one.

        :raises OutputError: if it refuses, or takes too long.
        """
        if self._section.validate_command is None:
            return
        await check_command(
            self._section.validate_command,
            staged_path,
            destination=self._path,
            environ=child_environment(self._environ, destination=self._path),
            timeout_s=self._section.validate_timeout,
        )
