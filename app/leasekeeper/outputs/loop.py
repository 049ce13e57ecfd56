"""Keeping every output up to date: who has to be rendered, when, and how many at a time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from leasekeeper.errors import AgentError
from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.target import Target
from leasekeeper.outputs.notify import Notifier
from leasekeeper.outputs.output import Output
from leasekeeper.outputs.output_file import OutputFile
from leasekeeper.outputs.tell import TellApplication, notifier_for
from leasekeeper.outputs.watched_files import WatchedFiles
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.latch import Latch
from leasekeeper.runtime.schedule import Schedule
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import LifecycleSection, OutputSection, WaitSection
from leasekeeper.telemetry.metrics import RENDERS
from leasekeeper.templates.source import Dependency, FileRequest, Source

if TYPE_CHECKING:
    from leasekeeper.outputs.group import OutputGroup

IN_MEMORY = "memory"  # not the name of a mount, which starts with a slash
OUTPUTS_AT_A_TIME = 16
"""Per mount. More than its threads, because some wait for the operator's programs instead."""
RETRY = Backoff(minimum_s=1.0, maximum_s=60.0)
"""After a file that could not be written. No retry asks Vault for anything."""

CLEAN_UP_S = 0.5
"""For removing temporary files at the end; only a hung file system needs longer."""


class SecretSource(Protocol):
    """Where snapshots come from."""

    def snapshot(self, request: SecretRequest) -> Snapshot | None:
        """Return the newest snapshot of *request*, or None while there is none."""
        ...

    def require(self, requests: Iterable[SecretRequest]) -> None:
        """Keep *requests* fresh from now on."""
        ...

    def subscribe(self, callback: Callable[[SecretRequest], None]) -> None:
        """Call *callback* on every new snapshot."""
        ...


OnPublished = Callable[[Output, Sequence[Snapshot]], None]


class _Unit(Protocol):
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

    def render(
        self,
        snapshot_of: Callable[[SecretRequest], Snapshot | None],
        text_of: Callable[[FileRequest], str | None],
    ) -> Any: ...
    async def publish(self, rendering: Any) -> bool: ...
    async def repair(self) -> bool: ...
    async def remove(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Turn:
    """An output, or a group of them, in the schedule of its mount."""

    unit: _Unit
    mount: str
    serve: Callable[[_Turn], asyncio.Future[float]]
    wait: WaitSection | None = None
    dirty: bool = True
    refreshing: bool = False
    due_at: float = 0.0
    """When changes have come to rest."""
    latest: float = math.inf
    retry_at: float = math.inf

    @property
    def name(self) -> str:
        return f"output {self.unit.label}"

    def put_off(self) -> None:
        """Wait for more changes, if that is wanted."""
        if self.wait is not None:
            if not self.dirty:
                self.latest = now() + self.wait.longest_s
            self.due_at = min(now() + self.wait.min, self.latest)

    async def step(self) -> float:
        # Shielded: the end of the schedule must not tear a publish, which `close` waits for.
        return await asyncio.shield(self.serve(self))


class OutputLoop:
    """Renders and publishes the outputs whose secrets or files have changed, and only those.

    `settled` is released when every output has been in place once; at once if there is none.
    *on_published* hears of every output that is in place, with the snapshots that its content was
    made from, whether or not the content had changed. *in_memory* is an output that lies in no
    file system; *tell_application* is for notifications of the program that `exec` runs. `close`
    ends what `run` and its outputs have started, threads included.
    """

    def __init__(
        self,
        lifecycle: LifecycleSection,
        sources: Iterable[tuple[OutputSection, Source]],
        store: SecretSource,
        *,
        rng: random.Random,
        environ: Mapping[str, str],
        groups: Sequence[GroupSection] = (),
        workers: FileWorkers | None = None,
        fence: Fence = no_fence,
        on_published: OnPublished = lambda _output, _snapshots: None,
        in_memory: Output | None = None,
        tell_application: TellApplication | None = None,
    ) -> None:
        self.settled = Latch()
        self._store = store
        self._repair_interval_s = lifecycle.repair_interval or math.inf
        self._rng = rng
        self._on_published = on_published
        self._workers = workers or FileWorkers()
        self._nursery = Nursery(self._crash)
        mounts = Mounts.current()
        self._files = WatchedFiles(
            self._workers, mounts, on_change=self._changed, on_bug=self._crash
        )
        self._make = _Maker(
            self._workers,
            mounts,
            rng=rng,
            environ=environ,
            deadline_s=lifecycle.publish_deadline,
            tell_application=tell_application,
            fence=fence,
        )
        self._turns = list(self._make_turns(list(sources), groups))
        if in_memory is not None:
            self._turns.append(_Turn(in_memory, IN_MEMORY, self._start))
        self.outputs = tuple(output for turn in self._turns for output in turn.unit.outputs)
        self._schedules = {
            mount: Schedule(concurrency=OUTPUTS_AT_A_TIME, on_error=self._crash)
            for mount in {turn.mount for turn in self._turns}
        }
        self._users: defaultdict[Dependency, set[_Turn]] = defaultdict(set)
        self._required: set[Dependency] = set()
        self._unsettled = set(self.outputs)
        if not self._unsettled:
            self.settled.release()
        self._one_render = asyncio.Lock()
        self._bug: BaseException | None = None
        self._crashed = asyncio.Event()
        self._closing = False

    def _make_turns(
        self, sources: list[tuple[OutputSection, Source]], groups: Sequence[GroupSection]
    ) -> Iterator[_Turn]:
        make, left = self._make, list(sources)
        for group in groups:
            members = [each for each in left if group.holds(each[0].destination)]
            left = [each for each in left if not group.holds(each[0].destination)]
            yield _Turn(make.group(group, members), make.mounts.of(group.link), self._start)
        for section, source in left:
            output = make.output(section, source)[0]
            mount = make.mounts.of(section.destination)
            yield _Turn(output, mount, self._start, wait=section.wait)

    async def run(self) -> NoReturn:
        """Keep the outputs up to date. Never returns; raises only for a bug."""
        self._store.subscribe(self._changed)
        for turn in self._turns:
            self._depend(turn, frozenset(), turn.unit.used)
            self._wake(turn)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._files.run(), name="watch template files")
            for mount, schedule in self._schedules.items():
                group.create_task(schedule.run(), name=f"outputs on {mount}")
            await self._crashed.wait()
            assert self._bug is not None
            raise self._bug
        raise AssertionError  # nothing in the group returns

    @property
    def busy(self) -> bool:
        """Whether a change has come that is not published yet. What is tried again is no change."""
        return any(turn.dirty or turn.refreshing for turn in self._turns)

    def failures(self) -> list[tuple[Output, AgentError]]:
        """Return every output that is failing, with its error."""
        return [(output, output.error) for output in self.outputs if output.error is not None]

    def unreadable(self, output: Output) -> list[AgentError]:
        """Return why local files that *output* waits for cannot be read."""
        return [
            error
            for each in output.missing
            if isinstance(each, FileRequest) and (error := self._files.error(each)) is not None
        ]

    async def close(self, *, deadline_s: float, remove_s: float = 0.0) -> None:
        """Let running publishes and notifications end within *deadline_s* seconds; start no other.

        For after `run` has been cancelled. What does not end in time is given up: its temporary
        file is removed, and a thread that hangs in the kernel is left behind. With *remove_s* the
        published files are then taken away, which may last so many seconds more.
        """
        ends_at = now() + deadline_s
        self._closing = True
        await self._files.close()
        await self._nursery.close(grace_s=deadline_s)
        rest_s = max(ends_at - now(), 0.0)
        notifiers = [each for turn in self._turns for each in turn.unit.notifiers]
        await asyncio.gather(*(notifier.close(grace_s=rest_s) for notifier in notifiers))
        if remove_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(remove_s):
                    await asyncio.gather(*(turn.unit.remove() for turn in self._turns))
        await self._workers.close(grace_s=CLEAN_UP_S)

    def _changed(self, dependency: Dependency) -> None:
        for turn in self._users.get(dependency, ()):
            if self.settled.released:
                turn.put_off()
            self._wake(turn)

    def _wake(self, turn: _Turn) -> None:
        turn.dirty = True
        self._schedules[turn.mount].wake(turn)

    def _start(self, turn: _Turn) -> asyncio.Future[float]:
        return self._nursery.start(turn.name, self._serve(turn))

    async def _serve(self, turn: _Turn) -> float:
        """Do what is due for one unit and return when to look at it again."""
        if self._closing:
            return math.inf
        if turn.dirty and now() < turn.due_at:
            return turn.due_at
        if turn.dirty or now() >= turn.retry_at:
            turn.refreshing = True
            await self._refresh(turn)
            turn.refreshing = False
            turn.retry_at = self._retry_at(turn.unit)
        elif not await turn.unit.repair():
            turn.retry_at = self._retry_at(turn.unit)
        # A little early, and never in step: thousands of files are not looked at in one burst.
        repair_at = now() + self._repair_interval_s * self._rng.uniform(0.8, 1.0)
        return min(turn.retry_at, repair_at, turn.unit.next_at)

    def _retry_at(self, unit: _Unit) -> float:
        if unit.error is None or not unit.error.retryable:
            return math.inf  # the same data would give the same result
        return now() + RETRY.delay(unit.failures - 1, self._rng)

    async def _refresh(self, turn: _Turn) -> None:
        unit = turn.unit
        async with self._one_render:
            # Everybody else gets the event loop between two renders.
            await asyncio.sleep(0)
            turn.dirty = False  # a change from here on needs another render
            before = unit.used
            rendering = unit.render(self._store.snapshot, self._files.text)
        self._depend(turn, before, unit.used)
        if rendering is not None and await unit.publish(rendering):
            for output in unit.outputs:
                self._on_published(output, output.published_snapshots)
            self._unsettled -= set(unit.outputs)
            if not self._unsettled:
                self.settled.release()
        for output in unit.outputs:
            RENDERS.inc(output.label, output.outcome.value)

    def _depend(
        self, turn: _Turn, before: frozenset[Dependency], used: frozenset[Dependency]
    ) -> None:
        for dependency in before - used:
            self._users[dependency].discard(turn)
        for dependency in used - before:
            self._users[dependency].add(turn)
        new = used - self._required
        if new:
            self._required |= new
            self._store.require([each for each in new if isinstance(each, SecretRequest)])
            self._files.require([each for each in new if isinstance(each, FileRequest)])

    def _crash(self, _task: str, error: BaseException) -> None:
        self._bug = self._bug or error
        self._crashed.set()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes outputs and groups out of their sections."""

    workers: FileWorkers
    mounts: Mounts
    rng: random.Random = field(kw_only=True)
    environ: Mapping[str, str] = field(kw_only=True, repr=False)
    deadline_s: float = field(kw_only=True)
    tell_application: TellApplication | None = field(kw_only=True)
    fence: Fence = field(kw_only=True)

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
