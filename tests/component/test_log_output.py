"""Writing the log to real pipes, whose readers may be slow, or gone."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain
from typing import TextIO

import pytest

from leasekeeper.telemetry import events
from leasekeeper.telemetry.lines import LineWriter
from tests.program import inherited


class Pipe:
    """A pipe as standard output of a container; `read` takes what is in it."""

    lines: LineWriter

    def __init__(self, flags: int = 0) -> None:
        self.reader, writer = os.pipe2(flags)
        self.out: TextIO = os.fdopen(writer, "w", encoding="utf-8")

    def writes(self) -> list[list[dict[str, object]]]:
        """Take what has been written, by writes; each has whole lines."""
        found = []
        while select.select([self.reader], [], [], 0)[0] and (part := os.read(self.reader, 65536)):
            assert part.endswith(b"\n")
            found.append([json.loads(line) for line in part.decode().splitlines()])
        return found

    def read(self) -> list[dict[str, object]]:
        text = b""
        while select.select([self.reader], [], [], 0)[0] and (part := os.read(self.reader, 65536)):
            text += part
        return [json.loads(line) for line in text.decode().splitlines() if line]

    def close(self) -> None:
        self.out.close()
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    yield from _with_log(Pipe())


@pytest.fixture
def packets() -> Iterator[Pipe]:
    """A pipe each read of which takes what one write has put there."""
    yield from _with_log(Pipe(os.O_DIRECT))


def _with_log(made: Pipe) -> Iterator[Pipe]:
    made.lines = events.configure("info", "json", made.out)
    yield made
    made.close()


def test_lines_arrive_whole_and_in_order(pipe: Pipe) -> None:
    for number in range(100):
        events.log.info("any.thing", number=number, text="ünïcode ☃")

    lines = pipe.read()
    assert [line["number"] for line in lines] == list(range(100))
    assert {line["text"] for line in lines} == {"ünïcode ☃"}


def test_a_reader_that_has_stopped_reading_does_not_stop_us(pipe: Pipe) -> None:
    """A log driver that cannot deliver: renewals have to go on."""
    began = time.monotonic()
    for number in range(5000):
        events.log.info("any.thing", number=number, text="x" * 200)
    took_s = time.monotonic() - began

    written = len(pipe.read())
    events.log.info("any.more")
    told, more = pipe.read()

    assert took_s < 3
    assert 100 < written < 5000
    assert (told["event"], told["lines"]) == ("log.lines_dropped", 5000 - written)
    assert more["event"] == "any.more"


def test_a_line_that_was_cut_does_not_spoil_the_next(pipe: Pipe) -> None:
    """A line longer than the pipe has room for; its first part cannot be taken back."""
    events.log.info("any.thing", text="x" * 300_000)
    cut = os.read(pipe.reader, 2**20)
    events.log.info("any.more")
    rest = os.read(pipe.reader, 2**20).decode().splitlines()

    assert not cut.endswith(b"\n")
    assert rest[0] == ""
    assert [json.loads(line)["event"] for line in rest[1:]] == ["log.lines_dropped", "any.more"]


def test_a_reader_that_is_gone_does_not_stop_us(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    for _ in range(10):
        events.log.info("any.thing")


def test_a_closed_stream_does_not_stop_us(pipe: Pipe) -> None:
    pipe.out.close()
    events.log.info("any.thing")


# -- while the loop runs --------------------------------------------------------------------------


def numbers(writes: list[list[dict[str, object]]]) -> list[list[object]]:
    return [[line.get("number", line["event"]) for line in lines] for lines in writes]


async def written(pipe: Pipe) -> None:
    """Wait until there is something in *pipe*."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.reader, there.set)
    try:
        async with asyncio.timeout(10):
            await there.wait()
    finally:
        loop.remove_reader(pipe.reader)


async def test_lines_of_the_loop_go_out_in_one_write(packets: Pipe) -> None:
    with packets.lines.together():
        for turn in (0, 3):
            for number in range(3):
                events.log.info("any.thing", number=turn + number)
            assert packets.writes() == []
            await written(packets)
            assert numbers(packets.writes()) == [[turn, turn + 1, turn + 2]]


async def test_many_lines_do_not_wait_and_no_write_is_larger_than_is_atomic(packets: Pipe) -> None:
    with packets.lines.together():
        for number in range(20):
            events.log.info("any.thing", number=number, text="x" * (50 * number))
        told = packets.writes()
    told += packets.writes()

    assert list(chain(*numbers(told))) == list(range(20))
    assert len(told) < 8
    assert max(sum(len(json.dumps(line)) + 1 for line in lines) for lines in told) <= 4096


async def test_an_error_does_not_wait_and_nor_does_what_led_to_it(packets: Pipe) -> None:
    with packets.lines.together():
        events.log.info("any.thing", number=1)
        events.log.error("any.thing", number=2)

        assert numbers(packets.writes()) == [[1, 2]]


async def test_a_thread_does_not_wait_for_the_loop(packets: Pipe) -> None:
    """The loop may be what hangs."""
    with packets.lines.together():
        events.log.info("any.thing", number=1)
        thread = threading.Thread(target=lambda: events.log.info("any.thing", number=2))
        thread.start()
        thread.join()

        assert numbers(packets.writes()) == [[1, 2]]


async def test_whoever_writes_there_as_well_can_have_ours_written_first(packets: Pipe) -> None:
    with packets.lines.together():
        events.log.info("any.thing", number=1)
        events.log.flush()

        assert numbers(packets.writes()) == [[1]]


async def test_lines_of_threads_and_of_the_loop_are_all_there_and_whole(pipe: Pipe) -> None:
    def tell(name: str) -> None:
        for number in range(50):
            events.log.info("any.thing", name=name, number=number)

    with pipe.lines.together():
        work = asyncio.gather(*(asyncio.to_thread(tell, name) for name in "abc"))
        for number in range(50):
            events.log.info("any.thing", name="loop", number=number)
            await asyncio.sleep(0)
        await work

    told = pipe.read()
    for name in ("a", "b", "c", "loop"):
        assert [line["number"] for line in told if line["name"] == name] == list(range(50))


async def test_a_reader_that_has_stopped_reading_stops_no_loop(pipe: Pipe) -> None:
    began = time.monotonic()
    with pipe.lines.together():
        for number in range(3000):
            events.log.info("any.thing", number=number, text="x" * 200)
            await asyncio.sleep(0)
        took_s = time.monotonic() - began
        before = len(pipe.read())
        events.log.info("any.more")
    told, *after = pipe.read()

    # The last lines may have been waiting still when there was room again.
    assert took_s < 3
    assert 100 < before < 2990
    assert len(after) < 21
    assert (told["event"], told["lines"]) == ("log.lines_dropped", 3001 - before - len(after))
    assert after[-1]["event"] == "any.more"


async def test_a_reader_that_is_gone_stops_no_loop(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    with pipe.lines.together():
        for _ in range(1000):
            events.log.info("any.thing")
        events.log.error("any.thing")


# -- ends -----------------------------------------------------------------------------------------

_PROGRAM = """
import asyncio, os, signal, sys
from leasekeeper.supervise.child import Child
from leasekeeper.telemetry import events
from leasekeeper.telemetry.events import log

async def main():
    with events.configure("info", "json").together():
        log.info("any.first")
        {body}

asyncio.run(main())
"""


def run(body: str) -> tuple[int, list[str], str]:
    """Run a program that logs `any.first` and does *body*: exit code, names and text, errors."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=body)],
        env=inherited(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = [
        json.loads(line)["event"] if line.startswith("{") else line
        for line in done.stdout.splitlines()
    ]
    return done.returncode, lines, done.stderr


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('on purpose')", 1),
        ("raise KeyboardInterrupt", -2),
        ("log.flush(); os._exit(4)", 4),
        ("log.error('any.error'); os.abort()", -6),
    ],
)
def test_nothing_is_lost_when_the_process_ends(body: str, code: int) -> None:
    ended, lines, _ = run(body)

    assert ended == code
    assert lines[0] == "any.first"


def test_what_led_to_the_application_comes_before_what_it_says() -> None:
    code, lines, errors = run(
        "child = await Child.start(['echo', 'hello'], os.environ);"
        "await child.wait(); log.info('any.last')"
    )

    assert (code, lines, errors) == (0, ["any.first", "hello", "any.last"], "")
