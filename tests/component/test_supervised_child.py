"""The application as a real process: what it inherits, how it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from leasekeeper.errors import ApplicationError, ValidationFailed
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.supervise.child import Child
from leasekeeper.supervise.environment import Environment, child_environ
from tests.program import until

ENVIRON = {"PATH": os.environ["PATH"]}
TELL = """
import json, os, signal, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
json.dump({
    "environ": {k.decode("latin-1"): v.decode("latin-1") for k, v in os.environb.items()},
    "ignored": int(status["SigIgn"], 16), "blocked": int(status["SigBlk"], 16),
    "session": os.getsid(0) == os.getpid(), "files": sorted(map(int, os.listdir("/proc/self/fd"))),
    "arguments": sys.argv[1:],
}, open(sys.argv[1], "w"))
"""


def under_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run *test* in the event loop of the program: it starts processes in its own way."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@under_uvloop
async def test_it_gets_its_environment_to_the_byte_and_nothing_of_our_signals(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.dup2(lock, 77, inheritable=False)
    environ = {**ENVIRON, "A": "1=2\n ", "BYTES": "\udcff", "EMPTY": "", "a.b-c": "é"}
    child = await Child.start(
        [sys.executable, "-I", "-c", TELL, str(told), "x y"], environ,
        stdout=str(tmp_path / "out"), stderr=str(tmp_path / "out"),
    )  # fmt: skip
    await child.wait()
    found = json.loads(told.read_text())

    assert (tmp_path / "out").read_text() == ""
    environ_found = {k: v for k, v in found["environ"].items() if k != "LC_CTYPE"}
    assert environ_found == {
        **ENVIRON, "A": "1=2\n ", "BYTES": "\xff", "EMPTY": "", "a.b-c": "Ã©",
    }  # fmt: skip
    assert found["blocked"] == 0
    assert found["ignored"] & (1 << signal.SIGTERM - 1 | 1 << signal.SIGHUP - 1) == 0
    assert found["session"]
    assert found["arguments"] == [str(told), "x y"]
    # Of what is open here it only has what whoever started us wants passed on.
    os.close(lock)
    os.close(77)
    assert 77 not in found["files"]


@under_uvloop
async def test_what_it_writes_is_appended(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("before\n")
    command = ["sh", "-c", "echo one; echo two >&2"]
    child = await Child.start(command, ENVIRON, stdout=str(out), stderr=str(err))
    await child.wait()

    assert child.status == 0
    assert (out.read_text(), err.read_text()) == ("before\none\n", "two\n")
    assert err.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("name", "mode", "text", "words"),
    [
        ("gone", None, "", "no such file or directory"),
        ("plain", 0o644, "#!/bin/sh\n", "permission denied"),
        ("broken", 0o755, "#!/nowhere/interpreter\n", "no such file or directory"),
    ],
)
@under_uvloop
async def test_what_cannot_be_started_says_why_and_how_to_mend_it(
    tmp_path: Path, name: str, mode: int | None, text: str, words: str
) -> None:
    path = tmp_path / name
    if mode is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(ApplicationError, match=words) as raised:
        await Child.start([str(path)], ENVIRON)
    assert raised.value.hint
    assert str(path) in raised.value.message


def variables(count: int) -> bytes:
    return b"\0".join(b"V%d=%s" % (number, b"v" * 1000) for number in range(count))


@under_uvloop
async def test_the_largest_environment_that_is_let_through_can_be_started() -> None:
    async def refused(count: int) -> bool:
        environment = Environment(
            lambda: None, command=["true"], environ=ENVIRON, workers=FileWorkers(), deadline_s=1
        )
        try:
            await environment.put(variables(count))
        except ValidationFailed:
            return True
        return False

    most, too_many = 1, 10_000
    while too_many - most > 1:
        middle = (most + too_many) // 2
        most, too_many = (most, middle) if await refused(middle) else (middle, too_many)

    child = await Child.start(["true"], child_environ(ENVIRON, variables(most)))
    await child.wait()
    assert child.status == 0
    with pytest.raises(ApplicationError):  # so the limit is no smaller than it has to be
        await Child.start(["true"], child_environ(ENVIRON, variables(most + 20)))


@under_uvloop
async def test_an_environment_that_is_too_large_is_an_error_without_values() -> None:
    environ = {**ENVIRON, **{f"A{number}": "canary" * 20_000 for number in range(80)}}
    with pytest.raises(ApplicationError, match="argument list too long") as raised:
        await Child.start(["true"], environ)
    assert "canary" not in str(raised.value)


@under_uvloop
async def test_a_log_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ApplicationError, match=r"opening .*/gone/out for the application's output"):
        await Child.start(["true"], ENVIRON, stdout=str(tmp_path / "gone" / "out"))


@under_uvloop
async def test_a_signal_goes_to_the_process_and_the_rest_of_its_group_is_killed(
    tmp_path: Path,
) -> None:
    script = f"""
    (trap 'echo worker >> {tmp_path}/signals' TERM; echo $$ > /dev/null
     sh -c 'echo $PPID' > {tmp_path}/worker; while :; do sleep 0.05; done) &
    trap 'echo main >> {tmp_path}/signals; exit 4' TERM
    touch {tmp_path}/up
    while :; do sleep 0.05; done
    """
    child = await Child.start(["sh", "-c", script], ENVIRON)
    await until(lambda: (tmp_path / "up").exists() and (tmp_path / "worker").exists())
    await until(lambda: (tmp_path / "worker").read_text().strip() != "")
    worker = int((tmp_path / "worker").read_text())
    ended = await child.stop(signal.SIGTERM, timeout_s=30)

    assert ended
    assert child.status == 4
    assert (tmp_path / "signals").read_text() == "main\n"
    await until(lambda: not is_running(worker))


@under_uvloop
async def test_who_ignores_the_signal_is_killed_with_all_of_its_group(tmp_path: Path) -> None:
    script = f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    child = await Child.start(["sh", "-c", script], ENVIRON)
    await until(lambda: (tmp_path / "up").exists())
    ended = await child.stop(signal.SIGTERM, timeout_s=0.3)

    assert not ended
    assert child.status == -signal.SIGKILL


@under_uvloop
async def test_stopping_what_has_ended_is_no_error() -> None:
    child = await Child.start(["true"], ENVIRON)
    await child.wait()

    assert await child.stop(signal.SIGTERM, timeout_s=1)
    child.kill()
    child.send(signal.SIGHUP)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


REAPER = """
import ctypes, os, subprocess, sys, threading, time
from leasekeeper.supervise import orphans

assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER, as process 1 is
# Its child dies after it: an orphan, and ours from then on. Five of them.
for _ in range(5):
    subprocess.run(["sh", "-c", "sleep 0.1 & exit 0"], check=True)
ours = subprocess.Popen(["sh", "-c", "exit 7"])

def zombies():
    return set(orphans._zombies())

deadline = time.monotonic() + 20
while len(zombies()) < 6:
    assert time.monotonic() < deadline
    time.sleep(0.01)
seen = orphans.reap(set())
assert len(seen) == 6 and zombies() == seen, "collected too early"
assert ours.wait() == 7  # its owner had the time to collect it
assert orphans.reap(seen) == set()
assert zombies() == set(), zombies()
print("good")
"""


def test_orphans_are_collected_and_our_own_children_are_left_to_their_owners() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", REAPER], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "good\n", ran.stderr
