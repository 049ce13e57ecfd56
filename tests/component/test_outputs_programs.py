"""Programs that validate: what they see, what becomes of their verdict, and of their children."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.commands import run_command
from leasekeeper.outputs.output_file import OutputFile
from leasekeeper.outputs.validate import CommandRefused, check_command
from leasekeeper.settings.model import OutputSection

CANARY = "hunter2-canary"


@pytest.fixture
async def workers() -> AsyncIterator[FileWorkers]:
    subject = FileWorkers()
    yield subject
    await subject.close()


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


def output_file(path: Path, workers: FileWorkers, **settings: Any) -> OutputFile:
    section = OutputSection.model_validate(
        {"destination": str(path), "template": "-", "mode": "0644", **settings}
    )
    environ = {**os.environ, "VAULT_TOKEN": CANARY}
    return OutputFile(section, workers=workers, mount="/", deadline_s=10, environ=environ)


LOOK = """
    import json, os, sys
    seen = {
        "path": sys.argv[1],
        "content": open(sys.argv[1]).read(),
        "mode": os.stat(sys.argv[1]).st_mode & 0o777,
        "old": os.path.exists(sys.argv[2]) and open(sys.argv[2]).read(),
        "stdin": sys.stdin.read(),
        "environ": {k: v for k, v in os.environ.items() if "VAULT" in k or "LEASEK" in k},
    }
    json.dump(seen, open(sys.argv[3], "w"))
    print("hunter2-canary", file=sys.stderr)
"""


async def test_the_program_sees_the_new_content_beside_the_old_file_and_no_secret_of_ours(
    tmp_path: Path, workers: FileWorkers
) -> None:
    path, report = tmp_path / "out" / "a", tmp_path / "report"
    command = python(LOOK, "{}", str(path), str(report))
    subject = output_file(path, workers, validate_command=command)

    assert await subject.put(b"one")
    assert await subject.put(b"two")

    seen = json.loads(report.read_text())
    assert seen["path"].startswith(f"{path.parent}/.a.")
    assert seen["content"] == "two"
    assert seen["old"] == "one"
    assert seen["mode"] == 0o600
    assert seen["stdin"] == ""
    assert seen["environ"] == {"LEASEKEEPER_OUTPUT": str(path)}
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_content_that_the_program_refuses_is_not_published(
    tmp_path: Path, workers: FileWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    code = """
        import sys
        text = open(sys.argv[1]).read()
        print(text, file=sys.stderr)
        print(text)
        sys.exit(7 if "hunter2" in text else 0)
    """
    path = tmp_path / "a"
    subject = output_file(path, workers, validate_command=python(code, "{}"))
    await subject.put(b"good")

    with pytest.raises(CommandRefused, match="exited with 7") as caught:
        await subject.put(CANARY.encode())

    assert path.read_text() == "good"
    await workers.close(grace_s=5)
    assert os.listdir(tmp_path) == ["a"]
    assert caught.value.retryable
    assert CANARY not in str(caught.value)
    assert CANARY not in "".join(capfd.readouterr())


async def test_a_program_without_placeholder_and_one_with_several_get_what_they_ask_for() -> None:
    code = "import sys; sys.exit(sys.argv[1:] != sys.argv[0:0] + {})"
    for argv, expected in [(["x"], ["x"]), (["{}", "--in={}"], ["/tmp/t", "--in=/tmp/t"])]:
        command = [sys.executable, "-c", code.replace("{}", repr(expected)), *argv]
        await check_command(
            command, "/tmp/t", destination="/config/a", environ=os.environ, timeout_s=10
        )


@pytest.mark.parametrize(
    ("program", "reason"),
    [("/no/such/program", "No such file"), ("/dev/null", "Permission denied")],
)
async def test_a_program_that_cannot_be_started_is_named(program: str, reason: str) -> None:
    with pytest.raises(CommandRefused, match=f"{program}.*cannot be started: {reason}"):
        await check_command([program], "/tmp/t", destination="/config/a", environ={}, timeout_s=10)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_program_that_hangs_is_killed_with_its_children(
    tmp_path: Path, workers: FileWorkers
) -> None:
    pids = tmp_path / "pids"
    command = ["/bin/sh", "-c", f'sleep 600 & echo $$ $! > "{pids}"; wait']
    path = tmp_path / "out" / "a"
    subject = output_file(path, workers, validate_command=command, validate_timeout="1s")

    with pytest.raises(CommandRefused, match="did not end within 1 s"):
        await subject.put(b"new")

    group = [int(pid) for pid in pids.read_text().split()]
    assert len(group) == 2
    async with asyncio.timeout(20):
        while any(is_running(pid) for pid in group):
            await asyncio.sleep(0.01)
    await workers.close(grace_s=5)
    assert os.listdir(path.parent) == []


async def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(600)"
    task = asyncio.get_running_loop().create_task(
        run_command(python(code, str(started)), os.environ)
    )
    async with asyncio.timeout(20):
        while not started.exists():
            await asyncio.sleep(0.01)
    ours = psutil.Process().children()
    (child,) = [child for child in ours if str(started) in child.cmdline()]

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not child.is_running()


async def test_a_program_leads_a_process_group_of_its_own() -> None:
    code = "import os, sys; sys.exit(os.getpgid(0) != os.getpid())"

    assert await run_command(python(code), os.environ) == 0


async def test_unchanged_content_is_not_validated_again(
    tmp_path: Path, workers: FileWorkers
) -> None:
    log = tmp_path / "log"
    code = "import sys; open(sys.argv[1], 'a').write('x')"
    subject = output_file(tmp_path / "a", workers, validate_command=python(code, str(log)))
    await subject.put(b"one")
    (tmp_path / "a").unlink()
    await subject.repair()
    await subject.put(b"one")

    assert (tmp_path / "a").read_text() == "one"
    assert log.read_text() == "x"


async def test_slow_validation_is_not_held_against_the_file_system(
    tmp_path: Path, workers: FileWorkers
) -> None:
    section = OutputSection.model_validate(
        {
            "destination": str(tmp_path / "a"),
            "template": "-",
            "validate_command": python("import time; time.sleep(0.5)"),
        }
    )
    subject = OutputFile(section, workers=workers, mount="/", deadline_s=0.3, environ=os.environ)
    began = time.perf_counter()

    assert await subject.put(b"one")
    assert time.perf_counter() - began > 0.5


async def test_a_file_system_that_refuses_is_told_before_the_program_is_bothered(
    tmp_path: Path, workers: FileWorkers
) -> None:
    (tmp_path / "a").mkdir()
    subject = output_file(tmp_path / "a", workers, validate_command=["/no/such/program"])

    with pytest.raises(PublishError):
        await subject.put(b"one")
