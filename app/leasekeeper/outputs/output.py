"""One destination: render, publish, repair and tell, with an outcome of its own."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from leasekeeper.errors import AgentError, OutputError, TemplateRenderError
from leasekeeper.outputs.notify import Notifier
from leasekeeper.outputs.patrol import Look
from leasekeeper.outputs.render_attempt import Attempt, View
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.templates.source import Dependency, Effect, Source

_DIGEST_KEY = secrets.token_bytes(16)  # an unkeyed digest would betray a short secret


class Outcome(StrEnum):
    """How the last attempt at an output ended."""

    WAITING = "waiting"
    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """New content and the snapshots that it was made from."""

    content: bytes = field(repr=False)
    snapshots: tuple[Snapshot, ...]
    effects: tuple[Effect, ...] = ()


class Place(Protocol):
    """Where the content of an output goes: `OutputFile`, or the environment of `supervise`."""

    @property
    def look(self) -> Look | None:
        """How to see whether it is as it was left; None when only `repair` can tell."""

    def holds(self, content: bytes) -> bool:
        """Whether *content* is what was put there last."""
        ...

    async def put(self, content: bytes) -> bool:
        """Put *content* in place; return whether that is news to a reader.

        :raises OutputError: if it cannot be put there.
        """
        ...

    async def apply(self, effects: Sequence[Effect]) -> None:
        """Do what the template wants done besides its text, in order.

        :raises OutputError: if the file system refuses or hangs.
        """
        ...

    async def repair(self) -> None:
        """Put the last content back if it is not as it was left.

        :raises OutputError: if the file system refuses or hangs.
        """
        ...

    async def remove(self) -> None:
        """Take the content away; a failure is logged."""
        ...


class Output:
    """One file of the application, made from one source, and what is known of it.

    `begin` and `finish` do not block; `publish` and `repair` wait for worker threads. None of them
    raises for what a template, a secret or a file system can do wrong: that is in `outcome` and
    `error`.
    One of them at a time, please. The attributes are for reading, and none holds a secret.
    """

    def __init__(
        self,
        label: str,
        source: Source,
        file: Place,
        *,
        environ: Mapping[str, str],
        notifier: Notifier | None = None,
    ) -> None:
        self.label = label
        self.outcome = Outcome.WAITING
        self.settled = False
        """Whether its content has been in place once."""
        self.generation = 0
        """Counts the contents that this process has seen in place; repairs do not count."""
        self.published_at: float | None = None
        """Loop time, in seconds, of the last new content."""
        self.published_snapshots: tuple[Snapshot, ...] = ()
        """What the content in place was made from."""
        self.digest = ""
        """Tells contents apart within this process, and nothing else."""
        self.size_bytes = 0
        self.error: AgentError | None = None
        """Why the last attempt failed; None when it did not."""
        self.failures = 0
        """Failed attempts since the last good one."""
        self.used: frozenset[Dependency] = frozenset()
        """What the last render asked for."""
        self.missing: frozenset[Dependency] = frozenset()
        """What the last render asked for in vain."""
        self.notifier = notifier
        self.next_at = math.inf
        """Loop time of something that is due besides repairs; never, for a single file."""
        self._source = source
        self._file = file
        self._environ = environ
        self._effects: tuple[Effect, ...] = ()  # of passes without a text, as Vault Agent counts
        self._rendered = False
        self._render_trouble = Trouble("template.render", output=label)
        self._publish_trouble = Trouble("file.publish", output=label)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Itself: what is published together."""
        return (self,)

    @property
    def look(self) -> Look | None:
        """How to see whether it is as it was left; None when only `repair` can tell."""
        return self._file.look

    @property
    def notifiers(self) -> tuple[Notifier, ...]:
        """Whoever tells somebody."""
        return () if self.notifier is None else (self.notifier,)

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The names of what is missing, sorted."""
        return tuple(sorted(dependency.name for dependency in self.missing))

    @property
    def notify_state(self) -> str | None:
        """How telling the application stands, or None when nobody is to be told."""
        return None if self.notifier is None else self.notifier.state.value

    def take_over(self, predecessors: Sequence[Output]) -> None:
        """Go on with what our one among *predecessors* has put in place."""
        for old in predecessors:
            if old.label == self.label or len(predecessors) == 1:
                self.settled, self.generation = old.settled, old.generation
                self.published_at = old.published_at
                self.published_snapshots = old.published_snapshots
                self.digest, self.size_bytes = old.digest, old.size_bytes

    def begin(self, view: View) -> list[Attempt]:
        """Return the render that is due now, for `finish` once it has been run."""
        return [Attempt(self.label, self._source, view, self._environ)]

    def finish(self, attempts: Sequence[Attempt]) -> Rendering | None:
        """Return new content, or None when something is missing or the template has failed."""
        (attempt,) = attempts
        asked, error, rendered = attempt.asked, attempt.error, attempt.rendered
        if rendered is None:
            assert error is not None
            # Whatever could lead to another result is still worth a render.
            sticky = isinstance(error, TemplateRenderError) and error.sticky
            self.used = frozenset(asked - attempt.absent) if sticky else self.used | asked
            self._effects = ()
            self._failed(error, self._render_trouble)
            return None
        self.used = frozenset(asked)
        self._render_trouble.recovered()
        self._note_missing(rendered.missing)
        content, effects = attempt.content, self._effects + rendered.effects
        self._effects = effects if content is None else ()
        if content is None:
            return None
        snapshots = tuple(attempt.snapshots.values())
        return Rendering(content=content, snapshots=snapshots, effects=effects)

    def _note_missing(self, missing: frozenset[Dependency]) -> None:
        # What the first render asks for, nobody has asked for before: waiting is no event then,
        # and a line for each of a thousand outputs is a tenth of their start.
        news = self._rendered and missing != self.missing
        self._rendered, self.missing = True, missing
        if not missing:
            return
        self.outcome = Outcome.WAITING
        self.error, self.failures = None, 0
        if news:
            log.info("output.waiting", output=self.label, waiting_for=self.waiting_for)

    async def publish(self, rendering: Rendering) -> bool:
        """Put the content into place; return whether it is there now."""
        content = rendering.content
        changed = not self._file.holds(content)
        try:
            await self._file.apply(rendering.effects)
            news = await self._file.put(content)
        except OutputError as error:
            self.refused(error)
            return False
        self.in_place(rendering, changed=changed, news=news)
        return True

    def in_place(self, rendering: Rendering, *, changed: bool, news: bool) -> None:
        """Note that *rendering* is what readers find now; tell the application if it is *news*."""
        content = rendering.content
        self.settled = True
        self.published_snapshots = rendering.snapshots
        self.error, self.failures = None, 0
        self._publish_trouble.recovered()
        if changed:
            digest = hashlib.blake2b(content, key=_DIGEST_KEY, digest_size=8).hexdigest()
            self.generation += digest != self.digest
            self.digest, self.size_bytes = digest, len(content)
        if news:
            self._announce()
        else:
            self.outcome = Outcome.UNCHANGED
            log.debug("file.unchanged", output=self.label, generation=self.generation)

    def refused(self, error: OutputError) -> None:
        """Note that new content could not be put into place."""
        self._failed(error, self._publish_trouble)

    def held_back(self) -> None:
        """Note that new content waits for that of others."""
        self.outcome = Outcome.WAITING
        self.error, self.failures = None, 0

    def _announce(self) -> None:
        self.outcome = Outcome.PUBLISHED
        self.published_at = now()
        log.info(
            "file.published",
            output=self.label,
            generation=self.generation,
            bytes=self.size_bytes,
            **audit.of_answers(each.response.request_id for each in self.published_snapshots),
        )
        if self.notifier is not None:
            self.notifier.published()

    async def repair(self) -> bool:
        """Put the last good content back if the file is not as it was left.

        Returns whether it is in order now. A file in order says nothing about newer content that
        could not be published, so it does not end a failure.
        """
        try:
            await self._file.repair()
        except OutputError as error:
            self.refused(error)
            return False
        return True

    async def remove(self) -> None:
        """Take the file away at the end of the task; a failure is logged."""
        await self._file.remove()

    def _failed(self, error: AgentError, trouble: Trouble) -> None:
        self.error = error
        self.failures += 1
        self.outcome = Outcome.FAILED
        trouble.failed(error)
