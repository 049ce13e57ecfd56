"""How often and when an application is told; `tell` is one try, and time is virtual."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise

from leasekeeper.errors import NotifyError
from leasekeeper.outputs.notify import BACKOFF, Notifier, NotifyState
from leasekeeper.runtime.clock import now
from tests.captured_logs import capture_logs


class App:
    """Fails as often as it is told to, and remembers when it was told."""

    def __init__(self, *, failures: int = 0, takes_s: float = 0.0, started: bool = True) -> None:
        self.failures = failures
        self.takes_s = takes_s
        self.started = started
        self.told_at: list[float] = []
        self.busy = False

    async def tell(self) -> bool:
        assert not self.busy, "two tries at the same time"
        self.busy = True
        try:
            self.told_at.append(now())
            await asyncio.sleep(self.takes_s)
        finally:
            self.busy = False
        if self.failures:
            self.failures -= 1
            raise NotifyError("no answer")
        return self.started


def notifier(tell: Callable[[], Awaitable[bool]], *, retries: int = 5) -> Notifier:
    return Notifier(tell, output="app", timeout_s=10.0, retries=retries, rng=random.Random(1))


async def test_a_published_file_is_told_once() -> None:
    app = App()
    subject = notifier(app.tell)
    assert subject.state is NotifyState.IDLE

    subject.published()
    assert subject.state is NotifyState.PENDING
    await asyncio.sleep(60)

    assert app.told_at == [0]
    assert subject.state is NotifyState.OK
    assert subject.last_success_at == 0
    await subject.close(grace_s=1)


async def test_failures_are_retried_with_growing_pauses_and_logged_once() -> None:
    app = App(failures=4)
    subject = notifier(app.tell)

    with capture_logs() as logs:
        subject.published()
        await asyncio.sleep(0.1)
        assert subject.state is NotifyState.RETRYING
        assert subject.last_error is not None
        await asyncio.sleep(300)

    pauses = [later - sooner for sooner, later in pairwise(app.told_at)]
    ceilings = [BACKOFF.minimum_s * 2**n for n in range(4)]
    assert all(c / 2 <= pause <= c for pause, c in zip(pauses, ceilings, strict=True))
    assert subject.state is NotifyState.OK
    assert subject.last_error is None
    loud = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert loud == ["app.notify_failed", "app.notified", "app.notify_recovered"]
    await subject.close(grace_s=1)


async def test_giving_up_leaves_a_failed_state_and_the_next_file_starts_over() -> None:
    app = App(failures=3)
    subject = notifier(app.tell, retries=2)

    subject.published()
    await asyncio.sleep(300)
    assert len(app.told_at) == 3
    assert subject.state is NotifyState.FAILED

    subject.published()
    await asyncio.sleep(300)
    assert len(app.told_at) == 4
    assert subject.state is NotifyState.OK
    await subject.close(grace_s=1)


async def test_a_newer_file_ends_the_pause_and_has_all_its_retries() -> None:
    app = App(failures=100)
    subject = notifier(app.tell, retries=3)
    subject.published()
    while len(app.told_at) < 3:
        await asyncio.sleep(0.01)

    subject.published()
    await asyncio.sleep(0)
    await asyncio.sleep(300)

    assert len(app.told_at) == 3 + 4
    assert app.told_at[3] - app.told_at[2] < 0.1
    await subject.close(grace_s=1)


async def test_files_published_during_a_try_are_told_together_afterwards() -> None:
    app = App(takes_s=5)
    subject = notifier(app.tell)
    subject.published()
    await asyncio.sleep(1)

    subject.published()
    subject.published()
    await asyncio.sleep(60)

    assert app.told_at == [0, 5]
    await subject.close(grace_s=1)


async def test_a_try_that_hangs_is_ended_by_its_timeout() -> None:
    app = App(takes_s=3600)
    subject = notifier(app.tell, retries=0)

    subject.published()
    await asyncio.sleep(10.5)

    assert subject.state is NotifyState.FAILED
    assert "within 10 s" in str(subject.last_error)
    await subject.close(grace_s=1)


async def test_an_application_that_has_not_started_is_no_error() -> None:
    app = App(started=False)
    subject = notifier(app.tell)

    with capture_logs() as logs:
        subject.published()
        await asyncio.sleep(60)

    assert len(app.told_at) == 1
    assert subject.state is NotifyState.OK
    assert [(e["event"], e["log_level"]) for e in logs] == [("app.not_started", "debug")]
    await subject.close(grace_s=1)


async def test_closing_lets_a_running_try_end() -> None:
    app = App(takes_s=3)
    subject = notifier(app.tell)
    subject.published()
    await asyncio.sleep(1)

    await subject.close(grace_s=10)

    assert now() == 3
    assert subject.state is NotifyState.OK


async def test_closing_does_not_wait_for_a_pause_between_tries() -> None:
    app = App(failures=100)
    subject = notifier(app.tell)
    subject.published()
    await asyncio.sleep(10)
    began, tries = now(), len(app.told_at)

    await subject.close(grace_s=10)

    assert now() == began
    assert len(app.told_at) == tries
    assert subject.state is NotifyState.FAILED


async def test_closing_cuts_off_a_try_at_the_deadline() -> None:
    app = App(takes_s=9)
    subject = notifier(app.tell)
    subject.published()
    await asyncio.sleep(1)

    await subject.close(grace_s=2)

    assert now() == 3


async def test_nothing_is_told_after_closing() -> None:
    app = App()
    subject = notifier(app.tell)
    await subject.close(grace_s=1)

    subject.published()
    await asyncio.sleep(60)

    assert app.told_at == []


async def test_a_bug_in_a_try_is_logged_by_name_only_and_the_next_file_is_told() -> None:
    calls = 0

    async def tell() -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("hunter2-canary")
        return True

    subject = notifier(tell)
    with capture_logs() as logs:
        subject.published()
        await asyncio.sleep(1)
        assert subject.state is NotifyState.FAILED
        subject.published()
        await asyncio.sleep(1)

    assert subject.state is NotifyState.OK
    assert "hunter2-canary" not in str(logs)
    await subject.close(grace_s=1)
