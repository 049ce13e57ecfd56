"""When the application is started, told, stopped and started again. Its processes are pretended."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from leasekeeper.errors import ApplicationError, ConfigError, ValidationFailed
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.output import Rendering
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import first_of
from leasekeeper.settings.model import ExecSection, LifecycleSection
from leasekeeper.supervise import supervisor as module
from leasekeeper.supervise.child import Child
from leasekeeper.supervise.supervisor import AppState, Supervisor, check_program
from leasekeeper.templates.source import Source
from tests.captured_logs import capture_logs


class FakeChild:
    """A process that ends *takes_s* after a signal to stop, unless it is killed before."""

    takes_s = 0.5

    def __init__(self, pid: int, environ: Mapping[str, str]) -> None:
        self.pid = pid
        self.environ = environ
        self.began, self.ended_at = now(), -1.0
        self.status: int | None = None
        self.signals: list[str] = []
        self.killed = False
        self._end = asyncio.Event()

    def end(self, status: int) -> None:
        self.status, self.ended_at = status, now()
        self._end.set()

    async def wait(self) -> None:
        await self._end.wait()

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number.name)

    async def stop(self, number: signal.Signals, *, timeout_s: float) -> bool:
        self.send(number)
        asyncio.get_running_loop().call_later(min(self.takes_s, timeout_s), self.end, -15)
        await self.wait()
        return self.takes_s <= timeout_s

    def kill(self) -> None:
        self.killed = True


class Stage:
    """A supervisor whose children are remembered, and whose environment a test can change."""

    def __init__(self, *, env: bool = True, **section: Any) -> None:
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.busy = False
        self.children: list[FakeChild] = []
        self.supervisor = Supervisor(
            ExecSection.model_validate({"command": ["app"], **section}),
            LifecycleSection(),
            cast(Source, object()) if env else None,
            environ={"PATH": "/bin", "LEASEKEEPER_CONFIG": "hidden"},
            stop=self.stop,
            workers=FileWorkers(),
        )

    async def start_child(
        self, _command: Sequence[str], environ: Mapping[str, str], **_files: Any
    ) -> Child:
        child = FakeChild(100 + len(self.children), environ)
        self.children.append(child)
        return cast(Child, child)

    async def change(self, content: bytes) -> None:
        assert self.supervisor.output is not None
        await self.supervisor.output.publish(Rendering(content=content, snapshots=()))

    @property
    def values(self) -> list[str]:
        return [child.environ.get("A", "") for child in self.children]


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch, *, begin: bytes | None = b"A=1", **section: Any
) -> AsyncIterator[Stage]:
    stage = Stage(env=begin is not None, **section)
    monkeypatch.setattr(module.Child, "start", stage.start_child)
    loop = asyncio.get_running_loop()
    if begin is not None:
        await stage.change(begin)
        stage.ready.set()
    task = loop.create_task(stage.supervisor.run(stage.ready.wait, lambda: stage.busy))
    try:
        await asyncio.sleep(1)
        yield stage
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_starts_when_everything_is_ready_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch, begin=None) as stage:
        assert stage.children == []
        assert stage.supervisor.state is AppState.WAITING
        stage.ready.set()
        await asyncio.sleep(0.1)

        assert stage.supervisor.state is AppState.RUNNING
        assert stage.children[0].environ == {"PATH": "/bin"}


async def test_changes_within_the_delay_are_one_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        changed_at = now()
        for value in (b"A=2", b"A=3", b"A=4"):
            await stage.change(value)
            await asyncio.sleep(0.6)
        await asyncio.sleep(5)

        assert stage.values == ["1", "4"]
        assert stage.children[0].signals == ["SIGTERM"]
        assert stage.children[1].began == pytest.approx(changed_at + 2.5, abs=0.1)


async def test_changes_without_end_do_not_put_a_restart_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as stage:
        for number in range(20):
            await stage.change(f"A={number + 2}".encode())
            await asyncio.sleep(1)

        assert len(stage.children) > 5


async def test_two_processes_never_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        stage.children[0].takes_s = 7.0
        await stage.change(b"A=2")
        await asyncio.sleep(5)
        assert stage.supervisor.state is AppState.RESTARTING
        assert len(stage.children) == 1
        await asyncio.sleep(10)

        assert stage.children[1].began >= stage.children[0].ended_at
        assert stage.supervisor.starts == 2


async def test_a_value_that_changes_back_restarts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        await stage.change(b"A=2")
        await stage.change(b"A=1")
        await asyncio.sleep(10)
        assert stage.values == ["1"]

        await stage.change(b"A=3")
        await asyncio.sleep(10)
        assert stage.values == ["1", "3"]


async def test_a_change_during_the_restart_is_in_it_or_makes_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as stage:
        stage.children[0].takes_s = 5.0
        await stage.change(b"A=2")
        await asyncio.sleep(4)
        await stage.change(b"A=3")
        await asyncio.sleep(20)

        assert stage.values == ["1", "3"]


async def test_a_restart_waits_for_files_that_change_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        stage.busy = True
        await stage.change(b"A=2")
        await asyncio.sleep(10)
        assert stage.values == ["1"]
        stage.busy = False
        await asyncio.sleep(1)
        assert stage.values == ["1", "2"]


async def test_a_hung_volume_holds_up_a_restart_for_no_longer_than_a_publish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as stage:
        stage.busy = True
        await stage.change(b"A=2")
        await asyncio.sleep(34)

        assert stage.values == ["1", "2"]


async def test_never_leaves_it_alone_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, restart_on_secret_changes="never") as stage:
        with capture_logs() as logs:
            await stage.change(b"A=2")
            await asyncio.sleep(60)

        assert stage.values == ["1"]
        assert "app.environment_outdated" in [line["event"] for line in logs]


async def test_a_file_can_signal_it_or_start_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        assert stage.supervisor.tell("SIGHUP")
        await asyncio.sleep(5)
        assert (stage.children[0].signals, len(stage.children)) == (["SIGHUP"], 1)

        assert stage.supervisor.tell("restart")
        await asyncio.sleep(5)
        assert len(stage.children) == 2


async def test_before_the_start_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, begin=None) as stage:
        assert not stage.supervisor.tell("SIGHUP")
        assert not stage.supervisor.tell("restart")


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7, 7), (-9, 137), (-15, 143)])
async def test_its_exit_code_is_ours(
    monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    async with running(monkeypatch) as stage:
        stage.children[0].end(status)
        await asyncio.sleep(0.1)

        assert stage.supervisor.ended.is_set()
        assert stage.supervisor.exit_code == code
        assert stage.supervisor.state is AppState.EXITED
        assert stage.children[0].killed  # what it left behind


async def test_an_exit_while_a_restart_is_due_is_an_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as stage:
        await stage.change(b"A=2")
        await asyncio.sleep(1)
        stage.children[0].end(3)
        await asyncio.sleep(10)

        assert stage.values == ["1"]
        assert stage.supervisor.exit_code == 3


@pytest.mark.parametrize("wait_s", [0.1, 1.0, 2.3, 4.0])
async def test_a_stop_during_a_restart_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    """0.1 and 1 s: in the delay, 2.3 s: while it stops, 4 s: when the new one runs."""
    async with running(monkeypatch, restart_stop_signal="SIGINT") as stage:
        await stage.change(b"A=2")
        await asyncio.sleep(wait_s)
        stage.stop.set()
        await asyncio.sleep(1)

        assert stage.supervisor.ended.is_set()
        assert stage.supervisor.exit_code == 0
        assert stage.supervisor.state is AppState.EXITED
        assert len(stage.children) == (2 if wait_s == 4.0 else 1)
        assert stage.children[-1].signals == ["SIGINT"]


async def test_a_stop_before_the_start_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, begin=None) as stage:
        stage.stop.set()
        await asyncio.sleep(0.1)

        assert stage.supervisor.ended.is_set()
        assert stage.children == []


async def test_who_does_not_end_is_killed_and_that_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch, kill_timeout="4s") as stage:
        stage.children[0].takes_s = 100.0
        began = now()
        stage.stop.set()
        with capture_logs() as logs:
            await stage.supervisor.ended.wait()

        assert now() - began == pytest.approx(4, abs=0.1)
        assert "app.killed" in [line["event"] for line in logs]


async def test_an_application_that_cannot_be_started_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_args: Any, **_more: Any) -> Child:
        raise ApplicationError("no")

    stage = Stage(env=False)
    monkeypatch.setattr(module.Child, "start", refuse)
    stage.ready.set()
    with pytest.raises(ApplicationError) as raised:
        await stage.supervisor.run(stage.ready.wait, lambda: False)
    assert raised.value.exit_code == 7


def test_a_program_that_is_not_there_is_found_before_the_login() -> None:
    there = ExecSection(command=["sh"])
    gone = ExecSection(command=["/nowhere/app"])
    later = ExecSection.model_validate(
        {"command": ["app"], "env": [{"name": "PATH", "template": "x"}]}
    )

    check_program(there, {"PATH": "/bin:/usr/bin"})
    check_program(later, {})
    with pytest.raises(ConfigError, match="no program '/nowhere/app'"):
        check_program(gone, {})


async def test_the_first_to_end_cancels_the_others_and_its_error_propagates() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise ZeroDivisionError

    began = now()
    with pytest.raises(ZeroDivisionError):
        await first_of(asyncio.sleep(100), fail())
    assert now() - began == pytest.approx(1, abs=0.1)


def test_a_run_without_an_application_imports_nothing_of_this() -> None:
    program = (
        "import sys, leasekeeper.agent, leasekeeper.web.report, leasekeeper.settings.loading\n"
        "print(*[name for name in sys.modules if name.startswith('leasekeeper.supervise')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert ran.stdout.split() == []


async def test_an_environment_that_is_too_large_as_a_whole_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old process was stopped first, and then the new one could not be started: exit 7."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (8 << 20, 8 << 20))
    largest = b"v" * 100_000
    async with running(monkeypatch) as stage:
        await stage.change(b"\0".join(b"V%d=%s" % (n, largest) for n in range(30)))
        await asyncio.sleep(60)

        output = stage.supervisor.output
        assert output is not None
        assert isinstance(output.error, ValidationFailed)
        assert "2097152 bytes" in str(output.error)
        assert stage.values == ["1"]
        await stage.change(b"\0".join([b"A=2", b"B=" + largest]))
        await asyncio.sleep(60)
        assert stage.values == ["1", "2"]
