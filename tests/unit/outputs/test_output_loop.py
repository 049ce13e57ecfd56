"""Which outputs are rendered and written, when, and what a failure costs the others.

Files are real, time is virtual: blocking calls run at once, on the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

from leasekeeper.errors import PublishError, TemplateRenderError, ValidationFailed
from leasekeeper.files.directory import Steps, alone
from leasekeeper.files.file_workers import FileWorkers, _Job
from leasekeeper.files.publish import Publication
from leasekeeper.files.target import Target
from leasekeeper.outputs import loop as loop_module
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.outputs.output import Outcome, Output, Rendering
from leasekeeper.outputs.watched_files import _Content
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.templates.source import Dependency, FileRequest, RenderContext, Rendered
from leasekeeper.vault.response import VaultResponse
from tests.captured_logs import capture_logs

CANARY = "hunter2-canary"
A, B = SecretRequest.read("kv/a"), SecretRequest.read("kv/b")


class Store:
    """Holds snapshots and remembers which requests it was told to keep fresh."""

    def __init__(self, **values: str) -> None:
        self.required: list[SecretRequest] = []
        self._snapshots: dict[SecretRequest, Snapshot] = {}
        self._listeners: list[Callable[[SecretRequest], None]] = []
        for path, value in values.items():
            self.put(SecretRequest.read(f"kv/{path}"), value)

    def snapshot(self, request: SecretRequest) -> Snapshot | None:
        return self._snapshots.get(request)

    def require(self, requests: Iterable[SecretRequest]) -> None:
        self.required += requests

    def subscribe(self, callback: Callable[[SecretRequest], None]) -> None:
        self._listeners.append(callback)

    def put(self, request: SecretRequest, value: str) -> None:
        old = self._snapshots.get(request)
        self._snapshots[request] = Snapshot(
            request=request,
            kind=SecretKind.STATIC,
            response=VaultResponse(data={"value": value}),
            generation=old.generation + 1 if old else 1,
            issued_at=0.0,
        )
        for listener in self._listeners:
            listener(request)


Values = Mapping[Dependency, str]


class Text:
    """Writes the values of its requests, one after the other, or what *write* makes of them."""

    def __init__(self, *requests: Dependency, write: Callable[[Values], str] | None = None) -> None:
        self.requests = requests
        self.write = write or (lambda values: "".join(values[each] for each in requests))
        self.renders = 0

    def static_requests(self) -> frozenset[SecretRequest]:
        return frozenset()

    def render(self, context: RenderContext) -> Rendered:
        self.renders += 1
        values: dict[Dependency, str] = {}
        for request in self.requests:
            if isinstance(request, FileRequest):
                text = context.file(request)
            else:
                snapshot = context.secret(request)
                text = (
                    snapshot.response.data["value"] if snapshot and snapshot.response.data else None
                )
            if text is not None:
                values[request] = text
        missing = frozenset(self.requests) - values.keys()
        return Rendered(
            text=None if missing else self.write(values),
            used=frozenset(self.requests),
            missing=missing,
        )


T = TypeVar("T")


class Inline(FileWorkers):
    """Runs every job at once. *hang* makes a named function time out, before or after it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.hang_before: str | None = None
        self.hang_after: str | None = None
        self.gate: asyncio.Event | None = None

    async def run_steps(self, mount: str, steps: Steps[T], **options: Any) -> T:
        def commit() -> T:
            return alone(steps)

        outcome: T = await self.run(mount, commit, **options)
        return outcome

    async def run(
        self, mount: str, function: Callable[..., Any], *args: Any, **_options: Any
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name == "commit" and self.gate is not None:
            await self.gate.wait()
        if name == self.hang_before:
            await asyncio.sleep(3600)
        result = function(*args)
        if name == self.hang_after:
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        return result

    def submit(self, mount: str, function: Callable[..., object], *args: Any, **_o: Any) -> None:
        function(*args)

    async def close(self, *, grace_s: float = 1.0) -> None:
        return None


class World:
    """A running loop and everything around it."""

    def __init__(self, tmp_path: Path, store: Store, **lifecycle: str) -> None:
        self.directory = tmp_path
        self.store = store
        self.workers = Inline()
        self.lifecycle = LifecycleSection.model_validate(lifecycle)
        self.sources: list[tuple[OutputSection, Text]] = []

    def output(self, name: str, source: Text, **settings: Any) -> Path:
        path = self.directory / name
        section = OutputSection.model_validate(
            {"name": name, "destination": str(path), "template": "-", **settings}
        )
        self.sources.append((section, source))
        return path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OutputLoop]:
        loop = OutputLoop(
            self.lifecycle,
            self.sources,
            self.store,
            rng=random.Random(1),
            environ={"LANG": "C"},
            workers=self.workers,
        )
        task = asyncio.get_running_loop().create_task(loop.run(), name="outputs")
        try:
            await asyncio.sleep(0.1)
            yield loop
        finally:
            task.cancel()
            await asyncio.wait([task])
            await loop.close(deadline_s=1)


def named(loop: OutputLoop, label: str) -> Output:
    return next(output for output in loop.outputs if output.label == label)


async def test_a_new_snapshot_renders_only_the_outputs_that_use_it(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")
    one, two, both = Text(A), Text(B), Text(A, B)
    paths = [world.output("one", one), world.output("two", two), world.output("both", both)]

    async with world.running() as loop:
        assert [path.read_text() for path in paths] == ["a1", "b1", "a1b1"]
        world.store.put(A, "a2")
        await asyncio.sleep(3600)

        assert [path.read_text() for path in paths] == ["a2", "b1", "a2b1"]
        assert [one.renders, two.renders, both.renders] == [2, 1, 2]
        assert [output.generation for output in loop.outputs] == [2, 1, 2]
        assert {output.outcome for output in loop.outputs} == {Outcome.PUBLISHED}


async def test_nothing_is_written_while_a_secret_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    path = world.output("app", Text(A, B))

    async with world.running() as loop:
        await asyncio.sleep(600)
        (output,) = loop.outputs
        assert not path.exists()
        assert output.outcome is Outcome.WAITING
        assert output.waiting_for == ("kv/b",)
        assert output.missing == {B}
        assert loop.unsettled == [output]
        assert not loop.settled.released

        world.store.put(B, "b1")
        await loop.settled.wait()
        assert loop.unsettled == []
        assert path.read_text() == "a1b1"
        assert output.waiting_for == ()


async def test_an_output_that_starts_to_wait_keeps_its_file(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    source = Text(A)
    path = world.output("app", source)

    async with world.running() as loop:
        source.requests = (A, B)
        world.store.put(A, "a2")
        await asyncio.sleep(600)

        assert path.read_text() == "a1"
        assert loop.outputs[0].outcome is Outcome.WAITING
        assert loop.settled.released


async def test_a_request_found_while_rendering_is_required_once(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    world.output("one", Text(A, B))
    world.output("two", Text(B, A))

    async with world.running():
        world.store.put(A, "a2")
        await asyncio.sleep(60)

        assert sorted(world.store.required, key=str) == [A, B]


async def test_a_failed_render_is_not_repeated_until_its_data_change(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")

    def refuse_a2(values: Values) -> str:
        if values[A] == "a2":
            raise TemplateRenderError("the key is missing", template="app", line=3)
        return values[A]

    source, other = Text(A, write=refuse_a2), Text(B)
    path, other_path = world.output("app", source), world.output("other", other)

    async with world.running() as loop:
        output = named(loop, "app")
        world.store.put(A, "a2")
        await asyncio.sleep(3600)
        assert source.renders == 2
        assert output.outcome is Outcome.FAILED
        assert loop.failures() == [(output, output.error)]
        assert path.read_text() == "a1"

        world.store.put(B, "b2")
        world.store.put(A, "a3")
        await asyncio.sleep(1)
        assert path.read_text() == "a3"
        assert other_path.read_text() == "b2"
        assert output.error is None
        assert loop.failures() == []


async def test_what_a_failing_template_asked_for_can_still_mend_it(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1", b="bad"))

    def write(values: Values) -> str:
        if values[B] == "bad":
            raise TemplateRenderError("bad b")
        return values[B]

    path = world.output("app", Text(A, B, write=write))

    async with world.running() as loop:
        assert loop.outputs[0].outcome is Outcome.FAILED
        world.store.put(B, "good")
        await asyncio.sleep(1)

        assert path.read_text() == "good"


async def test_an_unexpected_error_fails_one_output_and_betrays_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a=CANARY, b="b1"))

    def explode(values: Values) -> str:
        return str(int(values[A]))

    world.output("app", Text(A, write=explode))
    other = world.output("other", Text(B))

    with capture_logs() as logs:
        async with world.running() as loop:
            output = named(loop, "app")
            await asyncio.sleep(60)
            assert other.read_text() == "b1"
            assert isinstance(output.error, TemplateRenderError)
            assert "ValueError" in str(output.error)
            assert CANARY not in f"{output.error}{output.error.__cause__}"

    crash = next(entry for entry in logs if entry["event"] == "template.crashed")
    assert "test_output_loop.py:" in crash["at"]
    assert CANARY not in str(logs)


async def test_a_full_disk_is_retried_with_growing_pauses_and_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    path = world.output("app", Text(A))
    tries: list[float] = []
    full = True
    fsync = os.fsync

    def fsync_on_a_full_disk(fd: int) -> None:
        if full:
            tries.append(now())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    async with world.running() as loop:
        (output,) = loop.outputs
        monkeypatch.setattr(os, "fsync", fsync_on_a_full_disk)
        with capture_logs() as logs:
            world.store.put(A, "a2")
            await asyncio.sleep(300)
            assert path.read_text() == "a1"
            assert output.outcome is Outcome.FAILED
            assert isinstance(output.error, PublishError)
            assert output.error.errno == errno.ENOSPC
            assert os.listdir(tmp_path) == ["app"]

            full = False
            await asyncio.sleep(60)
        assert path.read_text() == "a2"
        assert output.outcome is Outcome.PUBLISHED

    pauses = [b - a for a, b in pairwise(tries)]
    ceilings = [min(60.0, 2.0**n) for n in range(len(pauses))]
    assert len(pauses) > 6
    assert all(c / 2 <= pause <= c for pause, c in zip(pauses, ceilings, strict=True))
    assert world.store.required == [A]
    loud = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert loud == ["file.publish_failed", "file.publish_recovered", "file.published"]


async def test_new_data_do_not_wait_for_the_retry_of_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    path = world.output("app", Text(A))
    failing = True
    rename = os.rename

    def rename_or_not(*args: Any, **options: Any) -> None:
        if failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(*args, **options)

    monkeypatch.setattr(os, "rename", rename_or_not)
    async with world.running():
        await asyncio.sleep(200)
        failing = False
        world.store.put(A, "a2")
        await asyncio.sleep(0.1)

        assert path.read_text() == "a2"


async def test_invalid_content_never_replaces_the_last_good_file(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a='{"ok": 1}', b="b1"))
    path = world.output("app", Text(A), validate="json")
    other = world.output("other", Text(B))

    async with world.running() as loop:
        output = named(loop, "app")
        world.store.put(A, f'{{"{CANARY}": }}')
        world.store.put(B, "b2")
        await asyncio.sleep(600)

        assert path.read_text() == '{"ok": 1}'
        assert other.read_text() == "b2"
        assert isinstance(output.error, ValidationFailed)
        assert CANARY not in str(output.error)
        assert output.failures == 1


async def test_a_file_that_somebody_changes_or_deletes_is_repaired_from_memory(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="15s")
    source = Text(A)
    path = world.output("app", source, mode="0640")

    async with world.running() as loop:
        with capture_logs() as logs:
            path.write_text("xx")  # same size
            await asyncio.sleep(15)
            assert path.read_text() == "a1"
            path.unlink()
            await asyncio.sleep(15)
            assert path.read_text() == "a1"
            path.chmod(0o666)
            await asyncio.sleep(15)
            assert path.stat().st_mode & 0o777 == 0o640
            await asyncio.sleep(600)

        repaired = [entry["repaired"] for entry in logs if entry["event"] == "file.repaired"]
        assert repaired == ["content", "content", "mode or owner"]
        assert source.renders == 1
        assert loop.outputs[0].generation == 1


async def test_a_zero_repair_interval_leaves_files_alone(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    path = world.output("app", Text(A))

    async with world.running():
        path.unlink()
        await asyncio.sleep(86400)

        assert not path.exists()


async def test_the_last_good_file_is_repaired_while_newer_content_is_refused(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="{}"), repair_interval="15s")
    path = world.output("app", Text(A), validate="json")

    async with world.running() as loop:
        world.store.put(A, "not json")
        await asyncio.sleep(1)
        path.unlink()
        await asyncio.sleep(15)

        assert path.read_text() == "{}"
        assert loop.outputs[0].outcome is Outcome.FAILED


async def test_unchanged_content_of_an_earlier_process_is_not_rewritten(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a1")
    (tmp_path / "app").chmod(0o640)
    before = (tmp_path / "app").stat()
    world = World(tmp_path, Store(a="a1"))
    path = world.output("app", Text(A))

    async with world.running() as loop:
        (output,) = loop.outputs
        assert loop.settled.released
        assert output.outcome is Outcome.UNCHANGED
        assert output.generation == 1
        assert output.published_at is None
        assert path.stat().st_ino == before.st_ino
        assert path.stat().st_ctime_ns == before.st_ctime_ns


async def test_an_output_knows_the_snapshots_behind_unchanged_content_too(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    world.output("app", Text(A, write=lambda _values: "constant"))

    async with world.running() as loop:
        world.store.put(A, "a2")
        await asyncio.sleep(1)

        assert [each.generation for each in loop.outputs[0].published_snapshots] == [2]
        assert loop.outputs[0].generation == 1


async def test_a_change_right_after_the_first_render_is_not_missed(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    text = Text(A)

    def write(values: Values) -> str:
        if text.renders == 1:
            asyncio.get_running_loop().call_soon(world.store.put, A, "a2")
        return values[A]

    text.write = write
    path = world.output("app", text)

    async with world.running():
        await asyncio.sleep(1)
        assert path.read_text() == "a2"


async def test_a_retry_that_comes_a_hair_too_early_is_one_all_the_same(tmp_path: Path) -> None:
    """Every second one was a repair instead: event loops round the time of a timer."""
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    source = Text(A)
    world.output("app", source)

    async with world.running() as loop:
        (turn,) = loop._turns.values()
        turn.retry_at = now() + 0.0004
        step = turn.step()
        assert asyncio.iscoroutine(step)
        await step
        assert source.renders == 2

        turn.dirty, turn.due_at = True, now() + 0.0004
        step = turn.step()
        assert asyncio.iscoroutine(step)
        await step
        assert source.renders == 3


async def test_a_change_during_a_publish_leads_to_one_more_publish(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    source = Text(A)
    path = world.output("app", source)
    world.workers.gate = asyncio.Event()

    async with world.running():
        for n in range(2, 10):
            world.store.put(A, f"a{n}")
            await asyncio.sleep(0.1)
        assert source.renders == 1
        world.workers.gate.set()
        await asyncio.sleep(1)

        assert path.read_text() == "a9"
        assert source.renders == 2


async def test_a_publish_that_times_out_before_the_rename_changes_nothing(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="a1"), publish_deadline="5s", repair_interval="0")
    path = world.output("app", Text(A))

    async with world.running() as loop:
        (output,) = loop.outputs
        world.workers.hang_before = "commit"
        world.store.put(A, "a2")
        await asyncio.sleep(5.5)

        assert path.read_text() == "a1"
        assert isinstance(output.error, PublishError)
        assert output.error.errno == errno.ETIMEDOUT
        assert os.listdir(tmp_path) == ["app"]

        world.workers.hang_before = None
        await asyncio.sleep(5)
        assert path.read_text() == "a2"


async def test_a_rename_that_succeeded_unnoticed_is_news_when_the_retry_finds_it(
    tmp_path: Path,
) -> None:
    """Otherwise the application would never be told of the file."""
    world = World(tmp_path, Store(a="a1"), publish_deadline="5s", repair_interval="1s")
    path = world.output("app", Text(A))

    async with world.running() as loop:
        (output,) = loop.outputs
        world.workers.hang_after = "commit"
        world.store.put(A, "a2")
        await asyncio.sleep(5.5)
        assert output.outcome is Outcome.FAILED
        assert path.read_text() == "a2"

        world.workers.hang_after = None
        with capture_logs() as logs:
            await asyncio.sleep(5)
        assert path.read_text() == "a2"
        assert output.outcome is not Outcome.FAILED
        assert output.generation == 2
        events = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
        assert events == ["file.publish_recovered", "file.published"]


async def test_repairs_do_not_put_old_content_over_what_may_be_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old credential may end soon, and a reader may have seen the new one."""
    monkeypatch.setattr(loop_module, "RETRY", Backoff(minimum_s=100, maximum_s=100))
    world = World(tmp_path, Store(a="a1"), publish_deadline="5s", repair_interval="1s")
    path = world.output("app", Text(A))

    async with world.running() as loop:
        world.workers.hang_after = "commit"
        world.store.put(A, "a2")
        await asyncio.sleep(5.5)
        world.workers.hang_after = None
        assert loop.outputs[0].outcome is Outcome.FAILED
        await asyncio.sleep(40)
        assert path.read_text() == "a2"

        await asyncio.sleep(100)
        assert loop.outputs[0].outcome is Outcome.PUBLISHED
        path.unlink()
        await asyncio.sleep(2)
        assert path.read_text() == "a2"


async def test_no_render_comes_directly_after_one_of_a_millisecond(tmp_path: Path) -> None:
    """With many outputs, everybody else has to get the event loop in between."""
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    sequence: list[str] = []

    def write(_values: Values) -> str:
        sequence.append("render")
        time.sleep(0.001)  # as long as a template that computes
        return "x"

    for n in range(200):
        world.output(f"out{n}", Text(A, write=write))

    async def tick() -> None:
        while sequence.count("render") < 200 and len(sequence) < 10_000:
            sequence.append("tick")
            await asyncio.sleep(0)

    ticker = asyncio.get_running_loop().create_task(tick())
    async with world.running() as loop:
        await ticker
        assert loop.settled.released

    assert sequence.count("render") == 200
    assert ("render", "render") not in set(pairwise(sequence))


async def test_a_template_file_is_waited_for_watched_and_kept_when_it_goes_away(
    tmp_path: Path,
) -> None:
    file = tmp_path / "extra"
    extra = FileRequest(str(file))
    world = World(tmp_path / "out", Store())
    path = world.output("app", Text(extra))

    async with world.running() as loop:
        (output,) = loop.outputs
        assert output.waiting_for == (extra.name,)
        assert output.missing == {extra}

        file.write_text("v1")
        await asyncio.sleep(2.1)
        assert path.read_text() == "v1"

        file.write_text("v2!")
        await asyncio.sleep(2.1)
        assert path.read_text() == "v2!"

        file.unlink()
        await asyncio.sleep(60)
        assert path.read_text() == "v2!"
        assert output.outcome is Outcome.PUBLISHED


async def test_a_template_file_that_is_no_file_fails_nobody_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    world = World(tmp_path / "out", Store(a="a1"))
    world.output("app", Text(FileRequest(str(tmp_path / "pipe"))))
    world.output("odd", Text(FileRequest("/with\0nul")))
    other = world.output("other", Text(A))

    async with world.running() as loop:
        await asyncio.sleep(60)

        assert other.read_text() == "a1"
        assert named(loop, "app").outcome is Outcome.WAITING
        assert named(loop, "odd").outcome is Outcome.WAITING


async def test_bytes_that_are_not_utf8_pass_through_unchanged(tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.write_bytes(b"caf\xe9\r\n")
    world = World(tmp_path / "out", Store())
    path = world.output("app", Text(FileRequest(str(extra))))

    async with world.running():
        assert path.read_bytes() == b"caf\xe9\r\n"


async def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="\ud800" + CANARY))
    path = world.output("app", Text(A))

    async with world.running() as loop:
        assert isinstance(loop.outputs[0].error, ValidationFailed)
        assert CANARY not in str(loop.outputs[0].error)
        assert not path.exists()


@pytest.mark.parametrize("where", ["finish", "publish"])
async def test_a_bug_in_the_loop_ends_it_instead_of_going_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    world = World(tmp_path, Store(a="a1"))
    world.output("app", Text(A))

    def broken(*_arguments: object) -> None:
        raise LookupError("bug")

    monkeypatch.setattr(Output, where, broken)

    loop = OutputLoop(
        world.lifecycle,
        world.sources,
        world.store,
        rng=random.Random(1),
        environ={},
        workers=world.workers,
    )
    with pytest.raises(ExceptionGroup) as caught:
        await loop.run()

    assert caught.group_contains(LookupError, match="bug")
    await loop.close(deadline_s=1)


async def test_closing_lets_a_running_publish_end(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    path = world.output("app", Text(A))
    gate = world.workers.gate = asyncio.Event()

    async with world.running():
        asyncio.get_running_loop().call_later(0.5, gate.set)

    assert path.read_text() == "a1"
    assert os.listdir(tmp_path) == ["app"]


async def test_closing_gives_up_a_publish_at_the_deadline_and_leaves_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def judge(*_arguments: object, **_options: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr("leasekeeper.outputs.output_file.check_command", judge)
    world = World(tmp_path, Store(a="a1"))
    world.output("app", Text(A), validate_command=["judge", "{}"])

    async with world.running():
        assert len(os.listdir(tmp_path)) == 1  # the staged file
        began = now()

    assert now() == began + 1
    assert os.listdir(tmp_path) == []


async def test_what_carries_content_does_not_print_it(tmp_path: Path) -> None:
    content = CANARY.encode()
    publication = Publication(Target(path=str(tmp_path / "app")), content)
    job = _Job(publication.steps(), "app")
    job.outcome.set_result(content)

    for carrier in (
        Rendering(content=content, snapshots=()),
        publication,
        job,
        _Content((1, 2, 3), CANARY),
    ):
        assert CANARY not in repr(carrier)


async def test_changes_are_collected_until_they_come_to_rest(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")
    source = Text(A, B)
    path = world.output("both", source, wait={"min": "2s"})

    async with world.running() as loop:
        assert path.read_text() == "a1b1"  # the first one never waits
        world.store.put(A, "a2")
        await asyncio.sleep(1.5)
        world.store.put(B, "b2")
        await asyncio.sleep(1.5)
        still = path.read_text()
        await asyncio.sleep(1)

        assert still == "a1b1"
        assert path.read_text() == "a2b2"
        assert loop.outputs[0].generation == 2


async def test_changes_that_never_rest_are_published_in_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="0"), repair_interval="0")
    path = world.output("one", Text(A), wait={"min": "2s", "max": "5s"})

    async with world.running():
        for number in range(1, 7):
            world.store.put(A, str(number))
            await asyncio.sleep(0.9)
        found = path.read_text()

    assert found == "6"
