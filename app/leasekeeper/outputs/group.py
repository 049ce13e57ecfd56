"""Several destinations that change together, or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from leasekeeper.errors import AgentError, OutputError
from leasekeeper.files.kept_group import KeptGroup
from leasekeeper.outputs.notify import Notifier
from leasekeeper.outputs.output import Output, Rendering
from leasekeeper.outputs.output_file import OutputFile
from leasekeeper.outputs.render_attempt import Attempt, View
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.templates.source import Dependency


class OutputGroup:
    """Does for its *outputs* what `Output` does for itself: render, publish, repair and tell.

    All are rendered in one go, so from the same snapshots. One that fails, or waits, keeps all of
    them at the generation that is in place.
    """

    def __init__(
        self,
        label: str,
        outputs: Sequence[Output],
        files: Sequence[OutputFile],
        kept: KeptGroup,
        *,
        check_s: float,
        notifier: Notifier | None = None,
    ) -> None:
        self.label = label
        self.outputs = tuple(outputs)
        self.next_at = math.inf
        """Loop time at which old generations are to be removed."""
        self._files = tuple(files)
        self._kept = kept
        self._check_s = check_s
        self._notifier = notifier
        self._contents: tuple[bytes, ...] = ()
        self._guilty: Output | None = None
        self._old_trouble = Trouble("group.clean_up", group=label)

    @property
    def used(self) -> frozenset[Dependency]:
        """What the last renders asked for."""
        return frozenset().union(*(output.used for output in self.outputs))

    @property
    def error(self) -> AgentError | None:
        """Why the last attempt failed: what time may mend comes first."""
        errors = [output.error for output in self.outputs if output.error is not None]
        return next((error for error in errors if error.retryable), errors[0] if errors else None)

    @property
    def failures(self) -> int:
        """Failed attempts since the last good one."""
        return max(output.failures for output in self.outputs)

    @property
    def look(self) -> None:
        """Nothing: `repair` removes old generations as well."""
        return

    @property
    def notifiers(self) -> tuple[Notifier, ...]:
        """Whoever tells somebody."""
        each = [self._notifier, *(output.notifier for output in self.outputs)]
        return tuple(notifier for notifier in each if notifier is not None)

    def begin(self, view: View) -> list[Attempt]:
        """Return the renders that are due now, for `finish` once they have been run."""
        return [attempt for output in self.outputs for attempt in output.begin(view)]

    def finish(self, attempts: Sequence[Attempt]) -> tuple[Rendering, ...] | None:
        """Return new content for every file, or None when it cannot be had for one of them."""
        pairs = zip(self.outputs, attempts, strict=True)
        found = [output.finish([attempt]) for output, attempt in pairs]
        renderings = tuple(rendering for rendering in found if rendering is not None)
        if len(renderings) == len(found):
            return renderings
        for output, rendering in zip(self.outputs, found, strict=True):
            if rendering is not None:
                output.held_back()
        return None

    async def publish(self, renderings: tuple[Rendering, ...]) -> bool:
        """Put all contents into place by one switch; return whether they are there now."""
        contents = tuple(rendering.content for rendering in renderings)
        self._guilty = None
        try:
            if not self._kept.holds(contents):
                await self._prepare(renderings)
            news = await self._kept.put(contents, check=self._check, check_s=self._check_s)
        except OutputError as error:
            self._failed(error)
            return False
        self._note(renderings, news=news)
        await self._remove_old()
        return True

    async def repair(self) -> bool:
        """Put the last good generation back if it is not as it was left; remove what is too old."""
        try:
            await self._kept.repair()
        except OutputError as error:
            self._failed(error)
            return False
        await self._remove_old()
        return True

    async def remove(self) -> None:
        """Take the link and the files away at the end of the task; a failure is logged."""
        await self._kept.remove()

    async def _prepare(self, renderings: Sequence[Rendering]) -> None:
        triples = zip(self.outputs, self._files, renderings, strict=True)
        for output, file, rendering in triples:
            self._guilty = output
            await file.apply(rendering.effects)
            await file.check_format(rendering.content)
        self._guilty = None

    async def _check(self, folder: str) -> None:
        for output, file in zip(self.outputs, self._files, strict=True):
            self._guilty = output
            await file.check_staged(os.path.join(folder, file.name))
        self._guilty = None

    def _failed(self, error: OutputError) -> None:
        for output in self.outputs:
            if self._guilty in (None, output):
                output.refused(error)
            else:
                output.held_back()

    def _note(self, renderings: Sequence[Rendering], *, news: bool) -> None:
        old = self._contents or (None,) * len(renderings)
        self._contents = tuple(rendering.content for rendering in renderings)
        for output, rendering, before in zip(self.outputs, renderings, old, strict=True):
            changed = rendering.content != before
            output.in_place(rendering, changed=changed, news=news and changed)
        if news:
            log.info("group.published", group=self.label, files=len(self.outputs))
            if self._notifier is not None:
                self._notifier.published()

    async def _remove_old(self) -> None:
        try:
            self.next_at = await self._kept.remove_old()
        except OutputError as error:
            self.next_at = math.inf  # the next repair tries again
            self._old_trouble.failed(error)
        else:
            self._old_trouble.recovered()
