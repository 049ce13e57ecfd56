"""The application's life: started when everything is there, started again when that changes."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import Any, NoReturn

from leasekeeper.errors import ConfigError, Problem
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.output import Output
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import first_of
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.settings.checks import ENVIRONMENT
from leasekeeper.settings.model import ExecSection, LifecycleSection
from leasekeeper.supervise.child import Child
from leasekeeper.supervise.environment import Environment, child_environ
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import APP_STARTS
from leasekeeper.templates.source import Source

_LOOK_EVERY_S = 0.05


class AppState(StrEnum):
    """How the application is."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    EXITED = "exited"


def check_program(section: ExecSection, environ: Mapping[str, str]) -> None:
    """Look for the program, before anything logs in for it.

    :raises ConfigError: if it is not there or cannot be executed.
    """
    if any(variable.name == "PATH" for variable in section.env):
        return  # nobody knows yet where it will be looked for
    if shutil.which(section.command[0], path=environ.get("PATH")) is None:
        msg = f"exec.command: there is no program {section.command[0]!r} that could be executed"
        raise ConfigError(Problem(msg, "LK-APP-001"))


class Supervisor:
    """Runs the application, one process at a time, until it ends or *stop* is set.

    `output` is its environment, to be kept up to date by the `OutputLoop`; None when *source* is.
    `ended` is set when the application has ended for good: `exit_code` is then what the process
    should end with. `close` ends an application that still runs.
    """

    def __init__(
        self,
        section: ExecSection,
        lifecycle: LifecycleSection,
        source: Source | None,
        *,
        environ: Mapping[str, str],
        stop: asyncio.Event,
        workers: FileWorkers,
    ) -> None:
        self.state = AppState.WAITING
        self.ended = asyncio.Event()
        self.exit_code = 0
        self.starts = 0
        self.started_at: float | None = None
        """Loop time, in seconds, of the last start."""
        self.output: Output | None = None
        self._section = section
        self._patience_s = lifecycle.publish_deadline
        self._environ = environ
        self._stop = stop
        self._environment = Environment(
            self._changed,
            command=section.command,
            environ=environ,
            workers=workers,
            deadline_s=lifecycle.publish_deadline,
        )
        if source is not None:
            self.output = Output(ENVIRONMENT, source, self._environment, environ=environ)
        self._signal = signal.Signals[section.restart_stop_signal]
        self._child: Child | None = None
        self._content: bytes | None = None
        self._snapshots: tuple[Snapshot, ...] = ()
        self._due = asyncio.Event()
        self._restart_anyway = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child and self._child.status is None else None

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """What the environment of the running application was made from."""
        if self.output is None:
            return ()
        is_newest = self._child is None or self._content == self._environment.content
        return self.output.published_snapshots if is_newest else self._snapshots

    def tell(self, how: str) -> bool:
        """Send the application a signal, or start it again; False when it does not run."""
        if self.state is not AppState.RUNNING or self._child is None:
            return False  # whatever starts next reads the files as they are now
        if how == "restart":
            self._restart_anyway = True
            self._due.set()
        else:
            self._child.send(signal.Signals[how])
        return True

    async def run(
        self, ready: Callable[[], Coroutine[Any, Any, object]], busy: Callable[[], bool]
    ) -> NoReturn:
        """Run the application from when *ready* returns. Never returns; see `ended`.

        A restart waits, for as long as a publish may last, while *busy* says that a file is about
        to change as well.

        :raises ApplicationError: if it cannot be started.
        """
        await first_of(ready(), self._stop.wait())
        if not self._stop.is_set():
            await self._run_on(busy)
        self.ended.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """End the application if it still runs, which takes as long as `exec.kill_timeout`."""
        if self.pid is not None:
            await self._end(AppState.STOPPING)
            self.state = AppState.EXITED

    def kill(self) -> None:
        """Kill the application, for an end without any delay."""
        if self._child is not None and self.pid is not None:
            self._child.kill()

    async def _run_on(self, busy: Callable[[], bool]) -> None:
        reason = "first"
        while True:
            child = await self._start(reason)
            await self._until_due(child, busy)
            if child.status is not None and not self._stop.is_set():
                self._note_exit(child.status)
                child.kill()
                return
            await self._end(AppState.STOPPING if self._stop.is_set() else AppState.RESTARTING)
            if self._stop.is_set():
                self.state = AppState.EXITED
                return
            reason = "file" if self._restart_anyway else "environment"

    async def _start(self, reason: str) -> Child:
        self._due.clear()
        self._restart_anyway = False
        self._content = self._environment.content
        self._snapshots = self.output.published_snapshots if self.output else ()
        section = self._section
        self._child = child = await Child.start(
            section.command,
            child_environ(self._environ, self._content),
            stdout=section.child_process_stdout,
            stderr=section.child_process_stderr,
        )
        self.state, self.started_at = AppState.RUNNING, now()
        self.starts += 1
        APP_STARTS.inc(reason)
        log.info("app.started", program=section.command[0], pid=child.pid, reason=reason)
        return child

    async def _until_due(self, child: Child, busy: Callable[[], bool]) -> None:
        """Return when *child* has ended, or has to."""
        while True:
            await first_of(child.wait(), self._stop.wait(), self._due.wait())
            if self._due.is_set():
                await first_of(child.wait(), self._stop.wait(), self._until_settled(busy))
            if child.status is not None or self._stop.is_set():
                return
            if self._restart_anyway or self._content != self._environment.content:
                return
            self._due.clear()  # it has changed back meanwhile

    async def _until_settled(self, busy: Callable[[], bool]) -> None:
        await asyncio.sleep(self._section.restart_delay)
        ends_at = now() + self._patience_s
        while busy() and now() < ends_at:  # noqa: ASYNC110 - read off every output, rarely
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _end(self, state: AppState) -> None:
        assert self._child is not None
        self.state = state
        name, timeout_s = self._signal.name, self._section.kill_timeout
        log.info("app.stopping", pid=self._child.pid, signal=name, because=state.value)
        if not await self._child.stop(self._signal, timeout_s=timeout_s):
            log.warning("app.killed", pid=self._child.pid, after_s=timeout_s)

    def _note_exit(self, status: int) -> None:
        self.state = AppState.EXITED
        # 128 and the signal is how shells tell it; Vault Agent has 255 for all of them.
        self.exit_code = status if status >= 0 else 128 - status
        by = {"signal": _signal_name(-status)} if status < 0 else {}
        if status:
            log.error("app.exited", exit_code=self.exit_code, **by)
        else:
            log.info("app.exited", exit_code=0)

    def _changed(self) -> None:
        if self._child is None:
            return
        if self._section.restart_on_secret_changes == "never":
            log.info("app.environment_outdated", because="restart_on_secret_changes is never")
        else:
            self._due.set()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
