"""Leasekeeper as a process: start it, read its log, ask its health, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from leasekeeper.devstack.processes import free_port


def inherited() -> dict[str, str]:
    """Return what a process needs of our own environment to find Python and the package."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


class Leasekeeper:
    """One process. ``async with`` starts it and makes sure that it has ended."""

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        config: str | None = None,
        cwd: Path | None = None,
        module: str = "leasekeeper",
    ) -> None:
        self.arguments = arguments or ("run",)
        self.port = free_port()
        self.env = {
            **inherited(),
            "LEASEKEEPER_WEB__LISTEN": f"127.0.0.1:{self.port}",
            **({} if config is None else {"LEASEKEEPER_CONFIG": config}),
            **(env or {}),
        }
        self.cwd = cwd
        self.module = module
        self.lines: list[str] = []
        self.stderr = ""
        self._new_line = asyncio.Event()
        self.process: asyncio.subprocess.Process
        self._readers: list[asyncio.Task[None]]

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *self.arguments,
            env=self.env,
            cwd=self.cwd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=64 * 2**20,
        )
        loop = asyncio.get_running_loop()
        self._readers = [
            loop.create_task(self._read_log(), name="read log"),
            loop.create_task(self._read_stderr(), name="read stderr"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._readers)
        if kind is not None:
            print(self.text)  # shown by pytest with the failure

    async def _read_log(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())
            self._new_line.set()
        self._new_line.set()

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = (await self.process.stderr.read()).decode()

    @property
    def text(self) -> str:
        """Everything it has written."""
        return "".join(self.lines) + self.stderr

    @property
    def said(self) -> str:
        """Everything it has told people, without JSON's escapes."""
        values = [str(value) for event in self.events() for value in event.values()]
        return "\n".join([*values, self.stderr])

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return its log events so far, all or those called *name*."""
        found = []
        for line in self.lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if name is None or event.get("event") == name:
                    found.append(event)
        return found

    async def event(self, name: str, *, count: int = 1, within_s: float = 30.0) -> dict[str, Any]:
        """Wait until event *name* has been logged *count* times and return the last of these."""
        async with asyncio.timeout(within_s):
            while len(self.events(name)) < count:
                assert self.process.stdout is not None
                if self.process.stdout.at_eof():
                    raise AssertionError(f"ended without {name}:\n{self.text}")
                self._new_line.clear()
                await self._new_line.wait()
        return self.events(name)[count - 1]

    async def get(self, path: str) -> tuple[int, str]:
        """Ask its web server."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def health(self) -> dict[str, Any]:
        """Return the body of /health."""
        _, body = await self.get("/health")
        told: dict[str, Any] = json.loads(body)
        return told

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        _, body = await self.get("/metrics")
        lines = [x for x in body.splitlines() if x.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and how many seconds the end took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = await self.process.wait()
        return code, time.monotonic() - began

    async def ended(self, within_s: float = 60.0) -> int:
        """Wait for its own end and return the exit code."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()


async def until(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait until *condition* holds; it is looked at every 10 ms."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)
