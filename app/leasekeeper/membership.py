"""One of several tasks that share a volume: standing by, leading, and being replaced.

Whoever stands by has no token, no lease and no open file: it looks at the manifest every second,
answers for its health by it, and tries to lead.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from leasekeeper.errors import LeadershipLost, OutputError, StartupDeadlineExceeded
from leasekeeper.files.attempt import Fence
from leasekeeper.files.election import Election, Replaced
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import unless_stopped
from leasekeeper.settings.model import Settings
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.web.report import Reporter
from leasekeeper.web.standby import SharedView, Standby, report_of

T = TypeVar("T")

LOOK_EVERY_S = 1.0
"""Between two looks at the manifest: how long a leader that has ended is missed at most."""
RENEWALS = 6
"""A leader renews the manifest this often in the time after which it counts as silent."""
OVERLAP_S = 60.0
"""For so long another client of a network file system may see an old file."""
_STRAND = "leadership"


def for_many_readers(settings: Settings) -> Settings:
    """Return *settings* with an overlap that covers what other clients remember."""
    overlap_s = max(settings.secrets.overlap, OVERLAP_S)
    secret_settings = settings.secrets.model_copy(update={"overlap": overlap_s})
    return settings.model_copy(update={"secrets": secret_settings})


class Membership:
    """Our place among the tasks; it is resigned at the end of ``async with``."""

    def __init__(self, settings: Settings, stop: asyncio.Event, rng: Random) -> None:
        directory = settings.shared.directory
        assert directory is not None
        self._settings = settings
        self._stop = stop
        self._rng = rng
        self._workers = FileWorkers()
        self._mount = Mounts.current().of(directory)
        self._takeover_after_s = settings.shared.takeover_after
        # Another one in every life of a task: what we were before must not pass for us.
        me = f"{socket.gethostname()} {secrets.token_hex(8)}"
        self._election = Election(directory, me, takeover_after_s=self._takeover_after_s)
        self._standby = Standby(
            election=self._election,
            expiry_grace_s=settings.lifecycle.expiry_grace,
            silent_after_s=self._takeover_after_s,
        )
        self._trouble = Trouble("leader.look", directory=directory)
        self._news = asyncio.Event()
        self.view = SharedView(self._standby)
        """What to show, whoever leads."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resign()
        await self._workers.close(grace_s=0.5)

    @property
    def fence(self) -> Fence:
        """What every switch of a file has to pass."""
        return self._election.fence

    @property
    def inherited(self) -> bool:
        """Whether everything is in place already, so that nobody has to be in a hurry."""
        return self._standby.settled and not self._standby.expired()

    def reloaded(self, settings: Settings) -> None:
        """Look for the files of *settings* from now on."""
        self._settings = settings

    async def wait_to_lead(self) -> bool:
        """Stand by until we lead; False when we are to stop instead.

        :raises StartupDeadlineExceeded: if no leader has put everything in place in time.
        """
        return await unless_stopped(self._wait_to_lead(), self._stop)

    async def led(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Lead; whether that is over for good, because *lead* has returned.

        Its errors propagate, except that another task leads now.
        """
        term = self._election.manifest.term if self._election.manifest else 0
        log.info("leader.elected", term=term)
        self.view.leading = True
        try:
            await lead()
        except* LeadershipLost as lost:
            log.warning("leader.replaced", term=term, error=str(lost.exceptions[0]))
            self._resign()
        else:
            return True
        finally:
            self.view.leading, self.view.work = False, None
        return False

    def show(self, reporter: Reporter) -> None:
        """Answer for our own work from now on."""
        self.view.work = reporter
        self._news.set()

    async def keep_leading(self, reporter: Reporter) -> NoReturn:
        """Renew the manifest again and again.

        :raises LeadershipLost: when another task leads.
        """
        while True:
            report = report_of(reporter) if reporter.settled else self._standby.report
            try:
                await self._in_thread(self._election.renew, report)
            except Replaced as error:
                raise LeadershipLost(error.message) from error
            except (OutputError, TimeoutError) as error:
                self._failed(error)
            else:
                self._trouble.recovered()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._takeover_after_s / RENEWALS):
                    await self._news.wait()
            self._news.clear()

    def _resign(self) -> None:
        # Closing a file of a volume that hangs takes as long as that; behind no other call on it.
        self._workers.submit(self._mount, self._election.resign())

    async def _wait_to_lead(self) -> None:
        began, followed = now(), ""
        while not await self._look():
            manifest = self._election.manifest
            if manifest is not None and manifest.leader != followed:
                followed = manifest.leader
                log.info("leader.followed", leader=followed, term=manifest.term)
            if self._standby.settled and self._settings.lifecycle.exit_after_auth:
                self._stop.set()
            self._give_up_late(now() - began)
            await asyncio.sleep(LOOK_EVERY_S * self._rng.uniform(0.7, 1.0))

    def _give_up_late(self, waited_s: float) -> None:
        deadline_s = self._settings.lifecycle.startup_deadline
        if self._standby.settled or not deadline_s or waited_s < deadline_s:
            return
        reasons = "; ".join(self._standby.reasons()) or "nothing has failed, but it takes too long"
        message = f"the leader of {self._election.directory} was not ready in time: {reasons}"
        hint = "lifecycle.startup_deadline sets the time allowed"
        raise StartupDeadlineExceeded(message, hint=hint)

    async def _look(self) -> bool:
        """Whether we lead now."""
        try:
            leading = await self._in_thread(self._election.stand)
            if not self._standby.settled or self._standby.missing:
                self._standby.missing = await self._in_thread(self._missing_files)
        except (OutputError, TimeoutError) as error:
            self._failed(error)
            return False
        self._standby.trouble = None
        self._trouble.recovered()
        return leading

    def _missing_files(self) -> list[str]:
        paths = [output.destination for output in self._settings.outputs]
        return [path for path in paths if not os.path.exists(path)]

    def _failed(self, error: OutputError | TimeoutError) -> None:
        if isinstance(error, TimeoutError):
            error = OutputError(f"the volume of {self._election.directory} does not answer")
        self._standby.trouble = error.coded
        self._trouble.failed(error)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        deadline_s = self._takeover_after_s
        return await self._workers.run(
            self._mount, function, *args, deadline_s=deadline_s, strand=_STRAND
        )
