"""Groups: files of one generation change together, by one switch of a link, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from leasekeeper.errors import AgentError, PublishError, TemplateRenderError
from leasekeeper.files.generations import GenerationSwitch, Member, current, superseded
from leasekeeper.files.target import Target
from leasekeeper.outputs import loop as loop_module
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.templates.source import RenderContext, Rendered
from tests.fakes.number_store import SECRET, NumberStore

SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Value:
    """Renders the number of the secret; fails for the numbers in *bad*."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def static_requests(self) -> frozenset[SecretRequest]:
        return frozenset({SECRET})

    def render(self, context: RenderContext) -> Rendered:
        snapshot = context.secret(SECRET)
        assert snapshot is not None
        assert snapshot.response.data is not None
        number = snapshot.response.data["value"]
        if number in self.bad:
            raise TemplateRenderError("no such key")
        return Rendered(text=str(number), used=frozenset({SECRET}), missing=frozenset())


@asynccontextmanager
async def running(
    link: Path,
    store: NumberStore,
    *,
    sources: dict[str, Value] | None = None,
    keep: str = "0s",
    command: list[str] | None = None,
    remove_s: float = 0.0,
    notify: list[str] | None = None,
    **lifecycle: str,
) -> AsyncIterator[OutputLoop]:
    sources = sources or {"a": Value(), "b": Value(), "c": Value()}
    sections = [
        OutputSection.model_validate(
            {
                "destination": f"{link}/{name}",
                "template": "-",
                "validate_command": command if name == "b" else None,
            }
        )
        for name in sources
    ]
    loop = OutputLoop(
        LifecycleSection.model_validate(lifecycle),
        list(zip(sections, sources.values(), strict=True)),
        store,
        rng=Random(1),
        environ={"PATH": os.environ["PATH"]},
        groups=[
            GroupSection.model_validate(
                {
                    "link": str(link),
                    "keep": keep,
                    "notify": {"command": {"command": notify}} if notify else None,
                }
            )
        ],
    )
    task = asyncio.get_running_loop().create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.wait([task])
        await loop.close(deadline_s=5, remove_s=remove_s)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def shown(link: Path) -> str:
    """Return what all files hold, which has to be the same."""
    folder = os.path.realpath(link)
    values = {(Path(folder) / name).read_text() for name in os.listdir(folder)}
    assert len(values) == 1
    return values.pop()


async def test_a_reader_of_a_group_never_sees_files_of_two_generations(tmp_path: Path) -> None:
    link, store = tmp_path / "group", NumberStore()
    done, mixed, reads = threading.Event(), [], 0

    def read() -> None:
        nonlocal reads
        while not done.is_set():
            folder = os.open(link, os.O_RDONLY | os.O_DIRECTORY)
            try:
                values = set()
                for name in "abc":
                    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
                    values.add(os.read(fd, 100))
                    os.close(fd)
                (link / "a").read_text()  # by name: never missing
            finally:
                os.close(folder)
            reads += 1
            if len(values) != 1:
                mixed.append(values)

    async with running(link, store, keep="60s") as loop:
        await loop.settled.wait()
        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(40):
            value = store.rotate()
            await eventually(lambda v=value: (link / "c").read_text() == v)
        done.set()
        reader.join()

    assert mixed == []
    assert reads > 40
    assert {output.generation for output in loop.outputs} == {41}


async def test_old_generations_stay_for_their_time_and_go_then(tmp_path: Path) -> None:
    link, store = tmp_path / "group", NumberStore()
    async with running(link, store, keep="300ms") as loop:
        await loop.settled.wait()
        first = os.path.realpath(link)
        value = store.rotate()
        await eventually(lambda: shown(link) == value)
        assert (Path(first) / "a").read_text() == "0"
        await eventually(lambda: not os.path.exists(first))
    assert shown(link) == value
    assert sorted(os.listdir(tmp_path)) == [".group.generations", "group"]
    assert sorted(os.listdir(tmp_path / ".group.generations")) == [".lock", current(str(link))]


async def test_a_member_that_fails_keeps_the_whole_group_at_the_old_generation(
    tmp_path: Path,
) -> None:
    link, store = tmp_path / "group", NumberStore()
    sources = {"a": Value(), "b": Value(1), "c": Value()}
    async with running(link, store, sources=sources) as loop:
        await loop.settled.wait()
        store.rotate()
        await eventually(lambda: loop.outputs[1].outcome is Outcome.FAILED)
        assert shown(link) == "0"
        assert [output.outcome for output in loop.outputs] == [
            Outcome.WAITING,
            Outcome.FAILED,
            Outcome.WAITING,
        ]
        value = store.rotate()
        # Readers see it a moment before the loop knows.
        await eventually(lambda: shown(link) == value and loop.failures() == [])


async def test_a_program_that_refuses_one_file_keeps_all_of_them_back(tmp_path: Path) -> None:
    """It is handed the new file under its own name, beside its new companions."""
    link, store = tmp_path / "group", NumberStore()
    script = 'test "$(cat {0})" = "$(cat "$(dirname {0})/a")" && test "$(cat {0})" != 1'
    command = ["sh", "-c", script.format('"$1"'), "sh", "{}"]
    async with running(link, store, command=command) as loop:
        await loop.settled.wait()
        store.rotate()
        await eventually(lambda: loop.outputs[1].outcome is Outcome.FAILED)
        assert shown(link) == "0"
        assert loop.outputs[0].error is None
        value = store.rotate()
        await eventually(lambda: shown(link) == value)


async def test_the_application_is_told_once_for_all_files(tmp_path: Path) -> None:
    link, told, store = tmp_path / "group", tmp_path / "told", NumberStore()
    command = ["sh", "-c", f'readlink "$LEASEKEEPER_OUTPUT" >> {told}']
    async with running(link, store, notify=command) as loop:
        await loop.settled.wait()
        assert set(loop.groups.values()) == {str(link)}
        assert len(loop.groups) == len(loop.outputs)
        first = os.readlink(link)
        await eventually(lambda: told.exists() and told.read_text() == f"{first}\n")
        value = store.rotate()
        await eventually(lambda: shown(link) == value)
        second = os.readlink(link)
        await eventually(lambda: told.read_text() == f"{first}\n{second}\n")


async def test_a_group_that_hung_is_published_when_its_volume_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "RETRY", Backoff(minimum_s=0.01, maximum_s=0.05))
    link, store = tmp_path / "group", NumberStore()
    back, real = threading.Event(), os.fsync

    def hang(fd: int) -> None:
        back.wait()
        real(fd)

    async with running(link, store, publish_deadline="100ms") as loop:
        await loop.settled.wait()
        monkeypatch.setattr(os, "fsync", hang)
        store.rotate()
        await eventually(lambda: loop.outputs[0].outcome is Outcome.FAILED)
        assert "does not answer" in str(loop.outputs[0].error)
        assert shown(link) == "0"
        value = store.rotate()
        back.set()
        await eventually(lambda: shown(link) == value)
        await eventually(lambda: not superseded(str(link)))
    left = os.listdir(tmp_path / ".group.generations")
    assert sorted(left) == [".lock", current(str(link))]


async def test_what_others_do_to_a_group_is_repaired(tmp_path: Path) -> None:
    link, store = tmp_path / "group", NumberStore()
    async with running(link, store, repair_interval="50ms") as loop:
        await loop.settled.wait()
        for harm in (
            lambda: (link / "a").write_text("edited"),
            lambda: (link / "b").unlink(),
            lambda: (link / "b").chmod(0o777),
            link.unlink,
            lambda: (tmp_path / "else").mkdir() or switch(link, tmp_path / "else"),
        ):
            harm()
            await eventually(lambda: in_order(link))
        assert loop.outputs[0].generation == 1


def in_order(link: Path) -> bool:
    files = [link / name for name in "abc"]
    with contextlib.suppress(FileNotFoundError):
        modes = {file.stat().st_mode & 0o777 for file in files}
        return modes == {0o640} and {file.read_text() for file in files} == {"0"}
    return False


def switch(link: Path, target: Path) -> None:
    (link.parent / "new").symlink_to(target)
    (link.parent / "new").rename(link)


async def test_a_restart_takes_over_the_generation_that_is_there(tmp_path: Path) -> None:
    link = tmp_path / "group"
    async with running(link, NumberStore()) as loop:
        await loop.settled.wait()
    before = os.readlink(link), (link / "a").stat().st_ino
    async with running(link, NumberStore()) as loop:
        await loop.settled.wait()
    assert (os.readlink(link), (link / "a").stat().st_ino) == before


async def test_a_group_is_removed_as_a_whole_at_the_end_of_the_task(tmp_path: Path) -> None:
    async with running(tmp_path / "group", NumberStore(), remove_s=5) as loop:
        await loop.settled.wait()
    assert os.listdir(tmp_path) == []


async def test_a_folder_in_the_place_of_the_link_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "RETRY", Backoff(minimum_s=0.01, maximum_s=0.01))
    link = tmp_path / "group"
    link.mkdir()
    (link / "precious").touch()
    async with running(link, NumberStore()) as loop:
        await eventually(lambda: loop.outputs[0].failures > 1)
        assert isinstance(loop.outputs[0].error, PublishError)
        assert loop.outputs[0].error.errno == errno.EISDIR
        assert os.listdir(link) == ["precious"]
        (link / "precious").unlink()
        link.rmdir()
        await eventually(lambda: loop.settled.released)
    assert sorted(os.listdir(tmp_path / ".group.generations")) == [".lock", current(str(link))]


def members(link: Path, value: bytes) -> list[Member]:
    return [Member(target=Target(path=f"{link}/{name}"), content=value) for name in "abc"]


def test_a_link_planted_in_the_place_of_the_generations_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".group.generations").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PublishError, match="symbolic link") as caught:
        GenerationSwitch(str(tmp_path / "group"), members(tmp_path / "group", b"x")).stage()

    assert caught.value.errno == errno.ELOOP
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_mode_that_is_kept_passes_from_generation_to_generation(tmp_path: Path) -> None:
    link = tmp_path / "group"
    target = Target(path=f"{link}/a", mode=None)
    GenerationSwitch(str(link), [Member(target=target, content=b"1")]).commit()
    assert (link / "a").stat().st_mode & 0o777 == 0o644
    (link / "a").chmod(0o600)
    GenerationSwitch(str(link), [Member(target=target, content=b"2")]).commit()

    assert (link / "a").read_bytes() == b"2"
    assert (link / "a").stat().st_mode & 0o777 == 0o600


def test_two_that_publish_one_group_take_turns(tmp_path: Path) -> None:
    link = tmp_path / "group"
    one = GenerationSwitch(str(link), members(link, b"1"))
    two = GenerationSwitch(str(link), members(link, b"2"))
    one.stage()
    with pytest.raises(AgentError, match="another task is writing"):
        two.stage()
    one.commit()
    two.stage()
    two.commit()
    assert shown(link) == "2"
    assert len(superseded(str(link))) == 1


def test_a_fence_keeps_the_old_generation(tmp_path: Path) -> None:
    link = tmp_path / "group"

    def refuse() -> None:
        raise PublishError("another task leads", path=str(link))

    GenerationSwitch(str(link), members(link, b"1")).commit()
    with pytest.raises(PublishError, match="leads"):
        GenerationSwitch(str(link), members(link, b"2"), fence=refuse).commit()
    assert shown(link) == "1"
    assert superseded(str(link)) == []
    assert sorted(os.listdir(tmp_path)) == [".group.generations", "group"]


WRITER = """
    import sys
    from leasekeeper.files.generations import GenerationSwitch, Member
    from leasekeeper.files.generations import remove_generations, superseded
    from leasekeeper.files.target import Target

    link, number = sys.argv[1], int(sys.argv[2])
    targets = [Target(path=f"{link}/{name}") for name in "abc"]
    print("ready", flush=True)
    while True:
        number += 1
        content = (b"%08d" % number) * 1000
        switch = GenerationSwitch(link, [Member(target=t, content=content) for t in targets])
        switch.stage() or switch.commit()
        remove_generations(link, superseded(link))
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_one_whole_generation(tmp_path: Path) -> None:
    link = tmp_path / "group"
    leftovers = 0
    for kill in range(15):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), str(link), str(kill * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=SAME_MODULES) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            began = current(str(link))
            while current(str(link)) == began:
                pass
            time.sleep(0.0004 * kill)
            writer.kill()

        seen = shown(link)
        assert seen == seen[:8] * 1000
        leftovers += (
            len(os.listdir(tmp_path)) + len(os.listdir(tmp_path / ".group.generations")) - 4
        )
        GenerationSwitch(str(link), members(link, seen.encode())).stage()  # as the next start does
        assert sorted(os.listdir(tmp_path)) == [".group.generations", "group"]
        left = [n for n in os.listdir(tmp_path / ".group.generations") if n.endswith(".tmp")]
        assert left == []

    assert leftovers > 0, "no kill hit the middle of a switch, so nothing was tested"
