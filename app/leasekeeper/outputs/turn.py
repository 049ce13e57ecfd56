"""What is published together, how it is made, and where it stands between two configurations."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from leasekeeper.errors import AgentError
from leasekeeper.files.attempt import Fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.target import Target
from leasekeeper.outputs.notify import Notifier
from leasekeeper.outputs.output import Output
from leasekeeper.outputs.output_file import OutputFile
from leasekeeper.outputs.patrol import Look
from leasekeeper.outputs.render_attempt import Attempt, View
from leasekeeper.outputs.tell import TellApplication, notifier_for
from leasekeeper.runtime.clock import now
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import OutputSection, WaitSection
from leasekeeper.templates.source import Dependency, Source

if TYPE_CHECKING:
    from leasekeeper.outputs.group import OutputGroup


class Unit(Protocol):
    """What is published together: an output, or a group of them."""

    label: str
    next_at: float

    @property
    def outputs(self) -> tuple[Output, ...]: ...
    @property
    def used(self) -> frozenset[Dependency]: ...
    @property
    def error(self) -> AgentError | None: ...
    @property
    def failures(self) -> int: ...
    @property
    def notifiers(self) -> tuple[Notifier, ...]: ...

    def begin(self, view: View) -> list[Attempt]: ...
    def finish(self, attempts: Sequence[Attempt]) -> Any: ...
    async def publish(self, rendering: Any) -> bool: ...
    async def repair(self) -> bool: ...
    @property
    def look(self) -> Look | None: ...
    async def remove(self) -> None: ...


MadeOf = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to make a unit, and what of: equal units are made of equal things."""

    place: str
    made_of: MadeOf
    make: Callable[[], Unit]
    wait: WaitSection | None = None


@dataclass(slots=True, eq=False)
class Turn:
    """An output, or a group of them, in the schedule of its mount.

    *successor* is what a new configuration makes of it. Until that has been published once, the
    old unit goes on, so that a new template that cannot be rendered costs nobody anything.
    """

    unit: Unit
    mount: str
    serve: Callable[[Turn], float | Coroutine[Any, Any, float]]
    wait: WaitSection | None = None
    place: str = ""
    made_of: MadeOf = ()
    successor: Unit | None = None
    successor_of: MadeOf = ()
    waits: bool = False
    """Whether its templates run programs, so that it is rendered in a thread."""
    dirty: bool = True
    refreshing: bool = False
    due_at: float = 0.0
    """When changes have come to rest."""
    latest: float = math.inf
    retry_at: float = math.inf
    woken_by: frozenset[Dependency] = frozenset()
    """Whose changes it is told."""

    @property
    def name(self) -> str:
        return f"output {self.unit.label}"

    @property
    def look(self) -> Look | None:
        return self.unit.look

    @property
    def shown(self) -> Unit:
        """What the configuration wants now."""
        return self.successor or self.unit

    @property
    def used(self) -> frozenset[Dependency]:
        """What the last renders asked for."""
        return self.unit.used | self.shown.used

    def hand_on(self) -> None:
        """Tell the successor what is in place."""
        if self.successor is not None:
            for output in self.successor.outputs:
                output.take_over(self.unit.outputs)

    def put_off(self) -> None:
        """Wait for more changes, if that is wanted."""
        if self.wait is not None:
            if not self.dirty:
                self.latest = now() + self.wait.longest_s
            self.due_at = min(now() + self.wait.min, self.latest)

    def step(self) -> float | Coroutine[Any, Any, float]:
        return self.serve(self)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes outputs and groups out of their sections."""

    workers: FileWorkers
    mounts: Mounts
    rng: random.Random = field(kw_only=True)
    environ: Mapping[str, str] = field(kw_only=True, repr=False)
    deadline_s: float = field(kw_only=True)
    tell_application: TellApplication | None = field(kw_only=True)
    fence: Fence = field(kw_only=True)

    def plans(
        self, sources: list[tuple[OutputSection, Source]], groups: Sequence[GroupSection]
    ) -> Iterator[Plan]:
        """Yield what *sources* and *groups* are to become."""
        left = list(sources)
        for group in groups:
            members = [each for each in left if group.holds(each[0].destination)]
            left = [each for each in left if not group.holds(each[0].destination)]
            made_of = (group, *members)
            yield Plan(place=group.link, made_of=made_of, make=partial(self.group, group, members))
        for section, source in left:
            yield Plan(
                place=section.destination,
                made_of=(section, source),
                make=partial(self.single, section, source),
                wait=section.wait,
            )

    def single(self, section: OutputSection, source: Source) -> Output:
        return self.output(section, source)[0]

    def output(self, section: OutputSection, source: Source) -> tuple[Output, OutputFile]:
        file = OutputFile(
            section,
            workers=self.workers,
            mount=self.mounts.of(section.destination),
            deadline_s=self.deadline_s,
            environ=self.environ,
            fence=self.fence,
        )
        notifier = self._notifier(section)
        output = Output(section.label, source, file, environ=self.environ, notifier=notifier)
        return output, file

    def group(
        self, section: GroupSection, members: Sequence[tuple[OutputSection, Source]]
    ) -> OutputGroup:
        from leasekeeper.files.kept_group import KeptGroup
        from leasekeeper.outputs.group import OutputGroup

        pairs = [self.output(*member) for member in members]
        kept = KeptGroup(
            section.link,
            [Target.of(output) for output, _ in members],
            keep_s=section.keep,
            workers=self.workers,
            mount=self.mounts.of(section.link),
            deadline_s=self.deadline_s,
            fence=self.fence,
            group=section.label,
        )
        return OutputGroup(
            section.label,
            [output for output, _ in pairs],
            [file for _, file in pairs],
            kept,
            check_s=sum(each.validate_timeout for each, _ in members if each.validate_command),
            notifier=self._notifier(section),
        )

    def _notifier(self, section: OutputSection | GroupSection) -> Notifier | None:
        return notifier_for(
            section,
            workers=self.workers,
            mounts=self.mounts,
            rng=self.rng,
            environ=self.environ,
            tell_application=self.tell_application,
        )
