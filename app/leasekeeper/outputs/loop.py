"""Keeping every output up to date: who has to be rendered, when, and how many at a time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn, Protocol

from leasekeeper.errors import AgentError
from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.outputs.output import Output
from leasekeeper.outputs.patrol import Patrol
from leasekeeper.outputs.render_attempt import Attempt, View, run_all
from leasekeeper.outputs.tell import TellApplication
from leasekeeper.outputs.turn import Maker, Plan, Turn, Unit
from leasekeeper.outputs.watched_files import WatchedFiles
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import due, now
from leasekeeper.runtime.latch import Latch
from leasekeeper.runtime.schedule import Floor, Schedule
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.telemetry.metrics import RENDERS
from leasekeeper.telemetry.spans import span
from leasekeeper.templates.source import Dependency, FileRequest, ProgramWanted, Source

IN_MEMORY = "memory"  # not the name of a mount, which starts with a slash
PROGRAMS = "programs"  # nor is this
OUTPUTS_AT_A_TIME = 16
"""Per mount. More than its threads, because some wait for the operator's programs instead."""
RETRY = Backoff(minimum_s=1.0, maximum_s=60.0)
"""After a file that could not be written. No retry asks Vault for anything."""

LAST_NEWS_S = 10.0
"""For telling the application of a file when its output is replaced by another."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What another configuration has changed: destinations of outputs, links of groups."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class OutputLoop:
    """Renders and publishes the outputs whose secrets or files have changed, and only those.

    `settled` is released when every output has been in place once; at once if there is none.
    *in_memory* is an output that lies in no file system; *tell_application* is for notifications of
    the program that `exec` runs. `close` ends what `run` and its outputs have started, threads
    included.
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
        in_memory: Output | None = None,
        tell_application: TellApplication | None = None,
    ) -> None:
        self.settled = Latch()
        self._store = store
        self._rng = rng
        self._workers = workers or FileWorkers()
        self._patrol = Patrol(lifecycle.repair_interval or math.inf, workers=self._workers, rng=rng)
        self._nursery = Nursery(self._crash)
        mounts = Mounts.current()
        self._files = WatchedFiles(
            self._workers, mounts, on_change=self._changed, on_bug=self._crash
        )
        self._view = View(snapshot=store.snapshot, text=self._files.text)
        self._make = Maker(
            self._workers,
            mounts,
            rng=rng,
            environ=environ,
            deadline_s=lifecycle.publish_deadline,
            tell_application=tell_application,
            fence=fence,
        )
        plans = self._make.plans(list(sources), groups)
        self._turns = {plan.place: self._turn(plan) for plan in plans}
        if in_memory is not None:
            self._turns[""] = Turn(in_memory, IN_MEMORY, self._serve)
        self._schedules: dict[str, Schedule] = {}
        self._group: asyncio.TaskGroup | None = None
        self._users: defaultdict[Dependency, set[Turn]] = defaultdict(set)
        self._required: set[Dependency] = set()
        self._unsettled = set(self._turns.values())
        self.left_behind: set[str] = set()
        """Ids of leases in files that are not ours any more, and stay."""
        if not self._unsettled:
            self.settled.release()
        self._floor = Floor()
        self._bug: BaseException | None = None
        self._crashed = asyncio.Event()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Every output, as the configuration wants it now."""
        return tuple(output for turn in self._turns.values() for output in turn.shown.outputs)

    @property
    def unsettled(self) -> list[Output]:
        """The outputs that have not been in place yet."""
        waiting = (turn for turn in self._turns.values() if turn in self._unsettled)
        return [output for turn in waiting for output in turn.shown.outputs]

    @property
    def groups(self) -> dict[str, str]:
        """The group of each output that is in one, both by their labels."""
        return {
            output.label: turn.shown.label
            for turn in self._turns.values()
            for output in turn.shown.outputs
            if output is not turn.shown
        }

    def _turn(self, plan: Plan) -> Turn:
        return Turn(
            plan.make(),
            self._make.mounts.of(plan.place),
            self._serve,
            wait=plan.wait,
            place=plan.place,
            made_of=plan.made_of,
        )

    async def run(self) -> NoReturn:
        """Keep the outputs up to date. Never returns; raises only for a bug."""
        self._store.subscribe(self._changed)
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._files.run(), name="watch template files")
            for turn in self._turns.values():
                self._begin(turn)
            await self._crashed.wait()
            assert self._bug is not None
            raise self._bug
        raise AssertionError  # nothing in the group returns

    def _begin(self, turn: Turn) -> None:
        if turn.mount not in self._schedules:
            assert self._group is not None, "run runs"
            schedule = Schedule(self._nursery, concurrency=OUTPUTS_AT_A_TIME, floor=self._floor)
            self._schedules[turn.mount] = schedule
            self._group.create_task(schedule.run(), name=f"outputs on {turn.mount}")
            if turn.mount != IN_MEMORY:
                self._group.create_task(self._watch(turn.mount), name=f"patrol on {turn.mount}")
        self._depend(turn)
        self._wake(turn)

    # -- another configuration ------------------------------------------------------------------

    async def apply(
        self,
        lifecycle: LifecycleSection,
        sources: Iterable[tuple[OutputSection, Source]],
        groups: Sequence[GroupSection],
    ) -> Applied:
        """Keep other outputs up to date from now on; those that stay the same notice nothing.

        A *source* that stays the same is the same object. Files of outputs that are not wanted any
        more stay, unless `lifecycle.remove_files` says otherwise.
        """
        self._patrol.every(lifecycle.repair_interval or math.inf)
        plans = {plan.place: plan for plan in self._make.plans(list(sources), groups)}
        known = [place for place in self._turns if place]
        gone = [self._turns.pop(place) for place in known if place not in plans]
        changed = [
            place
            for place, turn in self._turns.items()
            if place in plans and self._replan(turn, plans[place])
        ]
        added = [place for place in plans if place not in self._turns]
        for place in added:
            turn = self._turns[place] = self._turn(plans[place])
            if not self.settled.released:
                self._unsettled.add(turn)
            if self._group is not None:
                self._begin(turn)
        for turn in gone:
            await self._end(turn, remove=lifecycle.remove_files)
        return Applied(
            added=tuple(added), changed=tuple(changed), removed=tuple(turn.place for turn in gone)
        )

    def release(self, requests: Iterable[SecretRequest]) -> None:
        """Take note that nobody keeps *requests* fresh any more."""
        self._required -= set(requests)

    @property
    def used(self) -> frozenset[Dependency]:
        """Everything that outputs are made from, those in place included."""
        turns = self._turns.values()
        in_place = (each.published_snapshots for turn in turns for each in turn.unit.outputs)
        return frozenset().union(
            *(turn.used for turn in turns),
            (snapshot.request for snapshots in in_place for snapshot in snapshots),
        )

    def _replan(self, turn: Turn, plan: Plan) -> bool:
        """Let *turn* become what *plan* says; whether that is something new."""
        if plan.made_of == turn.made_of:
            reverted, turn.successor = turn.successor is not None, None
            return reverted
        if turn.successor is not None and plan.made_of == turn.successor_of:
            return False
        turn.successor, turn.successor_of, turn.wait = plan.make(), plan.made_of, plan.wait
        turn.hand_on()
        self._wake(turn)
        return True

    async def _end(self, turn: Turn, *, remove: bool) -> None:
        self._depend(turn)
        self._unsettled.discard(turn)
        self._release_if_settled()
        if (schedule := self._schedules.get(turn.mount)) is not None:
            await schedule.forget(turn)
        self._end_notifiers(turn.unit)
        if remove:
            await turn.unit.remove()
            return
        snapshots = (each for output in turn.unit.outputs for each in output.published_snapshots)
        self.left_behind |= {each.response.lease_id for each in snapshots} - {""}

    def _end_notifiers(self, unit: Unit) -> None:
        for notifier in unit.notifiers:
            self._nursery.start(f"end {unit.label}", notifier.close(grace_s=LAST_NEWS_S))

    @property
    def busy(self) -> bool:
        """Whether a change has come that is not published yet. What is tried again is no change."""
        return any(turn.dirty or turn.refreshing for turn in self._turns.values())

    def failures(self) -> list[tuple[Output, AgentError]]:
        """Return every output that is failing, with its error."""
        return [(output, output.error) for output in self.outputs if output.error is not None]

    def unreadable(self, request: FileRequest) -> AgentError | None:
        """Return why *request* cannot be read at present, if it cannot."""
        return self._files.error(request)

    async def close(self, *, deadline_s: float, remove_s: float = 0.0) -> None:
        """Let running publishes and notifications end within *deadline_s* seconds; start no other.

        For after `run` has been cancelled. What does not end in time is given up: its temporary
        file is removed, and a thread that hangs in the kernel is left behind. With *remove_s* the
        published files are then taken away, which may last so many seconds more.
        """
        ends_at = now() + deadline_s
        await self._files.close()
        await self._nursery.close(grace_s=deadline_s)
        rest_s = max(ends_at - now(), 0.0)
        turns = self._turns.values()
        notifiers = [each for turn in turns for each in turn.shown.notifiers]
        await asyncio.gather(*(notifier.close(grace_s=rest_s) for notifier in notifiers))
        if remove_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(remove_s):
                    await asyncio.gather(*(turn.unit.remove() for turn in turns))
        await self._workers.close(grace_s=CLEAN_UP_S)

    def _changed(self, dependency: Dependency) -> None:
        for turn in self._users.get(dependency, ()):
            if self.settled.released:
                turn.put_off()
            self._wake(turn)

    def _wake(self, turn: Turn) -> None:
        turn.dirty = True
        if (schedule := self._schedules.get(turn.mount)) is not None:
            schedule.wake(turn)

    def _serve(self, turn: Turn) -> float | Coroutine[Any, Any, float]:
        """Do what is due for one unit and return when to look at it again."""
        if turn.dirty and not due(turn.due_at):
            return turn.due_at
        if not turn.dirty and not due(turn.retry_at):
            return self._repair(turn)
        turn.dirty = False  # a change from here on needs another render
        wanted = turn.shown
        attempts = self._attempt(turn, wanted)
        if attempts is None:
            turn.refreshing = True
            return self._refresh_later(turn, wanted)
        rendering = self._finish(turn, wanted, attempts)
        if rendering is None and wanted is turn.unit:
            return self._next_at(turn)  # it is paused or has failed: there is nothing to wait for
        turn.refreshing = True
        return self._refresh(turn, wanted, rendering)

    async def _repair(self, turn: Turn) -> float:
        if not await turn.unit.repair():
            turn.retry_at = self._retry_at(turn.unit)
        return min(turn.retry_at, turn.unit.next_at)

    async def _watch(self, mount: str) -> NoReturn:
        """Wake whatever is not as it was left: with nothing else to do, its turn is a repair."""

        def suspect(turn: Turn) -> None:
            if self._turns.get(turn.place) is turn:
                self._schedules[mount].wake(turn)

        def posts() -> list[Turn]:
            return [turn for turn in self._turns.values() if turn.mount == mount]

        await self._patrol.walk(mount, posts, suspect)

    def _retry_at(self, unit: Unit) -> float:
        if unit.error is None or not unit.error.retryable:
            return math.inf  # the same data would give the same result
        return now() + RETRY.delay(unit.failures - 1, self._rng)

    async def _refresh_later(self, turn: Turn, wanted: Unit) -> float:
        return await self._refresh(turn, wanted, await self._render(turn, wanted))

    async def _refresh(self, turn: Turn, wanted: Unit, rendering: Any) -> float:
        """Publish what is *wanted* now or, while that cannot be had, what was wanted before."""
        if await self._publish(wanted, rendering):
            self._unsettled.discard(turn)
            self._release_if_settled()
            if wanted is turn.successor:
                self._end_notifiers(turn.unit)
                turn.unit, turn.made_of, turn.successor = wanted, turn.successor_of, None
                self._depend(turn)
        elif wanted is turn.successor:
            await self._publish(turn.unit, await self._render(turn, turn.unit))
            turn.hand_on()
        turn.refreshing = False
        return self._next_at(turn)

    def _next_at(self, turn: Turn) -> float:
        turn.retry_at = self._retry_at(turn.shown)
        if turn.dirty:
            return turn.due_at
        return min(turn.retry_at, turn.unit.next_at)

    async def _render(self, turn: Turn, unit: Unit) -> Any:
        attempts = self._attempt(turn, unit)
        if attempts is None:
            attempts = await self._attempt_in_thread(turn, unit)
        return self._finish(turn, unit, attempts)

    async def _publish(self, unit: Unit, rendering: Any) -> bool:
        if rendering is None:
            return False
        with span("publish", {"leasekeeper.output": unit.label}) as note:
            published = await unit.publish(rendering)
            note("leasekeeper.outcome", unit.outputs[0].outcome.value)
        for output in unit.outputs:
            RENDERS.inc(output.label, output.outcome.value)
        return published

    def _finish(self, turn: Turn, unit: Unit, attempts: list[Attempt]) -> Any:
        """Return what is to be published, or None when there is nothing.

        To be called without waiting after the render, or it would miss what changes meanwhile.
        """
        rendering = unit.finish(attempts)
        self._depend(turn)
        if rendering is None:
            for output in unit.outputs:
                RENDERS.inc(output.label, output.outcome.value)
        return rendering

    def _release_if_settled(self) -> None:
        if not self._unsettled:
            self.settled.release()

    def _attempt(self, turn: Turn, unit: Unit) -> list[Attempt] | None:
        """Render, or return None for what has to wait for a program."""
        if turn.waits:
            return None
        attempts = unit.begin(self._view)
        try:
            run_all(attempts)
        except ProgramWanted:
            turn.waits = True
            return None
        return attempts

    async def _attempt_in_thread(self, turn: Turn, unit: Unit) -> list[Attempt]:
        from leasekeeper.outputs.programs import Programs

        async with Programs(self._make.environ) as programs:
            # Meanwhile the world goes on; whoever asks twice gets the same answer all the same.
            snapshot, text = cache(self._store.snapshot), cache(self._files.text)
            view = View(snapshot=snapshot, text=text, program=programs.run)
            attempts = unit.begin(view)
            await self._workers.run(PROGRAMS, run_all, attempts, deadline_s=None)
        asked = {each for attempt in attempts for each in attempt.asked}
        if any(view.value(each) != self._view.value(each) for each in asked):
            turn.dirty = True  # what it has asked for the first time could not wake it
        return attempts

    def _depend(self, turn: Turn) -> None:
        """Let *turn* be woken by what it uses now, and have that kept fresh.

        One that is not wanted any more uses nothing, even if it is being rendered at present.
        """
        wanted = self._turns.get(turn.place) is turn
        before, used = turn.woken_by, turn.used if wanted else frozenset()
        turn.woken_by = used
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
