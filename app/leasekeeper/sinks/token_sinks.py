"""All token sinks: each has a task of its own, so that none waits for another."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from leasekeeper.errors import AgentError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.runtime.latch import Latch
from leasekeeper.settings.model import LifecycleSection
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.telemetry.events import log

if TYPE_CHECKING:
    from leasekeeper.sinks.sink import Sink, Tokens, Wrapper


class TokenSinks:
    """Files with the token, for other programs.

    `settled` is released when every sink has been written once; at once if there is none. The
    *workers* belong to the caller, who closes them after `run` has ended.
    """

    def __init__(
        self,
        sections: Sequence[SinkSection],
        tokens: Tokens,
        wrapper: Wrapper,
        *,
        lifecycle: LifecycleSection,
        workers: FileWorkers,
        rng: random.Random,
        environ: Mapping[str, str],
    ) -> None:
        mounts = Mounts.current()
        self.settled = Latch()

        def sink(section: SinkSection) -> Sink:
            from leasekeeper.sinks.sink import Sink

            return Sink(
                section,
                tokens,
                wrapper,
                aad=_aad(section, environ),
                workers=workers,
                mounts=mounts,
                deadline_s=lifecycle.publish_deadline,
                repair_interval_s=lifecycle.repair_interval or math.inf,
                rng=rng,
                on_written=self._note,
            )

        self.sinks = tuple(map(sink, sections))
        self._unsettled = set(self.sinks)
        if not self.sinks:
            self.settled.release()
        tokens.on_login(self.wake)

    def wake(self) -> None:
        """Look at every sink at once: there is a new token, or Vault is back."""
        for sink in self.sinks:
            sink.wake()

    async def run(self) -> NoReturn:
        """Keep the sinks up to date. Never returns; raises only for a bug."""
        async with asyncio.TaskGroup() as group:
            for sink in self.sinks:
                group.create_task(sink.run(), name=f"sink {sink.path}")
            await asyncio.Event().wait()
        raise AssertionError  # nothing in the group returns

    def failures(self) -> list[tuple[Sink, AgentError]]:
        """Return every sink that is failing, with its error."""
        return [(sink, sink.error) for sink in self.sinks if sink.error is not None]

    async def remove(self, *, deadline_s: float) -> None:
        """Take the files away within *deadline_s* seconds; for after `run` has been cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*(sink.remove() for sink in self.sinks))

    def _note(self, sink: Sink) -> None:
        self._unsettled.discard(sink)
        if not self._unsettled:
            self.settled.release()


def _aad(section: SinkSection, environ: Mapping[str, str]) -> bytes:
    if section.aad_env_var is not None:
        aad = environ.get(section.aad_env_var, "")
        if not aad:
            log.warning(
                "sink.aad_missing",
                sink=section.path,
                variable=section.aad_env_var,
                hint="aad_env_var names a variable that is not set, so there is no aad",
            )
        return os.fsencode(aad)
    return section.aad.get_secret_value().encode() if section.aad is not None else b""
