"""``python -m tests.chaos.hammer PORT SECONDS SLOW``: ask for /health as fast as it goes.

Beside that, SLOW clients each send one byte of a request now and then and never finish it; those
that are cut off come back. Prints, as JSON, how many answers there were and how long they took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress

import uvloop

FAST = 50
REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
END_OF_HEAD = b"\r\n\r\n"
SLOW_PAUSE_S = 2.0


async def ask(port: int, until: float, took: list[float]) -> None:
    """Ask again and again over one connection, and over another one when it is cut."""
    while time.monotonic() < until:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while time.monotonic() < until:
                    began = time.monotonic()
                    writer.write(REQUEST)
                    head = await reader.readuntil(END_OF_HEAD)
                    length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
                    await reader.readexactly(int(length))
                    took.append(time.monotonic() - began)
            finally:
                writer.close()


async def dawdle(port: int, until: float) -> None:
    """Never finish a request."""
    while time.monotonic() < until:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for byte in REQUEST[:-4]:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(min(SLOW_PAUSE_S, max(until - time.monotonic(), 0)))
            finally:
                writer.close()
        await asyncio.sleep(0.1)


async def hammer(port: int, seconds: float, slow: int) -> dict[str, float]:
    """Do both for *seconds*, and return what came of it."""
    until, took = time.monotonic() + seconds, list[float]()
    async with asyncio.TaskGroup() as group:
        for _ in range(slow):
            group.create_task(dawdle(port, until))
        for _ in range(FAST):
            group.create_task(ask(port, until, took))
    took.sort()
    return {
        "answers": len(took),
        "per_second": round(len(took) / seconds),
        "median_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 1),
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        work = hammer(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
        print(json.dumps(runner.run(work)))
