"""Telling the application about a new file, without ever holding up the next one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum

from leasekeeper.errors import AgentError, NotifyError
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import NOTIFICATIONS
from leasekeeper.telemetry.trouble import Trouble

Tell = Callable[[], Awaitable[bool]]
"""One try; False when the application has not been started yet, so there is nobody to tell.
Raises `NotifyError`."""

BACKOFF = Backoff(minimum_s=0.5, maximum_s=30.0)
"""An application that restarts is back within seconds; one that is down is no emergency of ours."""


class NotifyState(StrEnum):
    """Where the notification of the last published file stands."""

    IDLE = "idle"
    PENDING = "pending"
    RETRYING = "retrying"
    OK = "ok"
    FAILED = "failed"


class Notifier:
    """Tells one application of one output's files, in a task of its own; the latest file wins.

    A file that is published while a try runs lets that try end and then starts over, because the
    application may have read the older file; one that comes during a pause ends the pause.
    *timeout_s* bounds each try, *retries* is how many follow the first.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        output: str,
        timeout_s: float,
        retries: int,
        rng: random.Random,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self.state = NotifyState.IDLE
        self.last_error: AgentError | None = None
        self.last_success_at: float | None = None  # loop time, seconds
        self._tell = tell
        self._output = output
        self._timeout_s = timeout_s
        self._tries = retries + 1
        self._rng = rng
        self._backoff = backoff
        self._wanted = False
        self._closing = False
        self._interrupted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._nursery = Nursery(self._crashed)
        self._trouble = Trouble("app.notify", output=output)

    def published(self) -> None:
        """Start telling the application of the file that has just been published."""
        if self._closing:
            return
        self._wanted = True
        self._interrupted.set()
        if self._task is None or self._task.done():
            self.state = NotifyState.PENDING
            self._task = self._nursery.start(f"notify {self._output}", self._run())

    async def close(self, *, grace_s: float) -> None:
        """Let what is under way end within *grace_s* seconds, without pauses and retries."""
        self._closing = True
        self._interrupted.set()
        await self._nursery.close(grace_s=grace_s)

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            self._interrupted.clear()
            result = await self._tell_of_one_file()
            NOTIFICATIONS.inc(self._output, result)

    async def _tell_of_one_file(self) -> str:
        for attempt in range(self._tries):
            if await self._try():
                return "ok"
            if attempt + 1 < self._tries:
                self.state = NotifyState.RETRYING
                await self._pause(self._backoff.delay(attempt, self._rng))
            if self._wanted:
                self.state = NotifyState.PENDING
                return "superseded"
            if self._closing:
                break
        self.state = NotifyState.FAILED
        return "failed"

    async def _try(self) -> bool:
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    told = await self._tell()
            except TimeoutError:
                msg = f"the application did not take the news within {self._timeout_s:g} s"
                raise NotifyError(msg) from None
        except NotifyError as error:
            self.last_error = error
            self._trouble.failed(error)
            return False
        self._succeeded(told=told)
        return True

    def _succeeded(self, *, told: bool) -> None:
        self.state = NotifyState.OK
        self.last_error = None
        self.last_success_at = now()
        if told:
            log.info("app.notified", output=self._output)
        else:
            log.debug("app.not_started", output=self._output)
        self._trouble.recovered()

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._interrupted.wait()
        except TimeoutError:
            return

    def _crashed(self, _task: str, error: BaseException) -> None:
        self.state = NotifyState.FAILED
        log.error("app.notify_crashed", output=self._output, error=type(error).__name__)
