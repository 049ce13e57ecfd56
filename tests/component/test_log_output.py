"""Writing the log to real pipes, whose readers may be slow, or gone."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from leasekeeper.telemetry import events


class Pipe:
    """A pipe as standard output of a container; `read` takes what is in it."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.out: TextIO = os.fdopen(writer, "w", encoding="utf-8")

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
    made = Pipe()
    events.configure("info", "json", made.out)
    yield made
    made.close()
    events.configure("info", "json")


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
