"""Waiting for the first complete publish, and giving up on one that cannot come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress

from leasekeeper.errors import AgentError, StartupDeadlineExceeded
from leasekeeper.outputs.output import Output
from leasekeeper.parts import Parts
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.settings.durations import format_duration
from leasekeeper.settings.model import LifecycleSection
from leasekeeper.telemetry.events import log

_POLL_S = 0.25
# While starting, say what is being waited for.
_SAY_EVERY_S = 15.0


async def first_publish(
    parts: Parts, lifecycle: LifecycleSection, is_patient: Callable[[], bool]
) -> float:
    """Return after how many seconds every output and every sink has been in place once.

    That it cannot come is no reason to give up as long as *is_patient*: what another leader has
    left is still good.

    :raises AgentError: what keeps it from coming, when time will not mend that, or too much of it
        has passed.
    """
    began = said = now()
    blocked_since = failing_since = math.inf
    retry_grace_s = lifecycle.retry_grace or math.inf
    deadline_s = lifecycle.startup_deadline or math.inf
    while not (parts.outputs.settled.released and parts.sinks.settled.released):
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await parts.outputs.settled.wait()
                await parts.sinks.settled.wait()
        error = _blocking(parts, final=True)
        blocked_since = math.inf if error is None else min(blocked_since, now())
        too_long = now() - blocked_since >= lifecycle.failure_grace
        if error is not None and too_long and not is_patient():
            raise error
        if retry_grace_s < math.inf and parts.tokens.lease is not None:
            failure = _blocking(parts, final=False)
            failing_since = math.inf if failure is None else min(failing_since, now())
            if failure is not None and now() - failing_since >= retry_grace_s and not is_patient():
                raise failure
        if now() - began >= deadline_s and not is_patient():
            raise _blocking(parts, final=False) or _too_late(parts, deadline_s)
        if now() - said >= _SAY_EVERY_S:
            said = now()
            log.warning("agent.still_starting", reasons=parts.reporter.reasons())
    return now() - began


def _blocking(parts: Parts, *, final: bool) -> AgentError | None:
    """Return what keeps the first publish from happening; only what time won't mend if *final*."""
    token_error = parts.tokens.error
    if parts.tokens.lease is None and token_error is not None:
        return None if final and token_error.retryable else token_error
    for sink in parts.sinks.sinks:
        if not sink.settled and sink.error is not None and not (final and sink.error.retryable):
            return sink.error
    for output in parts.outputs.unsettled:
        for error in _errors_of(output, parts):
            if not (final and error.retryable):
                return error
    return None


def _errors_of(output: Output, parts: Parts) -> Iterator[AgentError]:
    """Yield why *output* is not in place: its own error, and those of what it waits for."""
    if output.error is not None:
        yield output.error
    for each in output.missing:
        error = (
            parts.secrets.error(each)
            if isinstance(each, SecretRequest)
            else parts.outputs.unreadable(each)
        )
        if error is not None:
            yield error


def _too_late(parts: Parts, deadline_s: float) -> StartupDeadlineExceeded:
    reasons = "; ".join(parts.reporter.reasons()) or "nothing has failed, but it takes too long"
    return StartupDeadlineExceeded(
        f"not every output was published within {format_duration(deadline_s)}: {reasons}",
        hint="lifecycle.startup_deadline sets the time allowed",
    )
