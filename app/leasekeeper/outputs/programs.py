"""The programs that ``plugin`` runs in the middle of a render, as Vault Agent lets it.

Such a render has to wait, so it is done in a thread; the programs belong to the event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from leasekeeper.outputs.commands import child_environment, kill_group
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import decode, encode

if TYPE_CHECKING:
    from typing import Self

TIMEOUT_S = 30.0
"""Vault Agent's."""
_LARGEST_BYTES = 64 << 20  # of what a program prints, as of any text in a template
_CHUNK_BYTES = 64 << 10


class Programs:
    """Runs programs for a thread, one at a time. Leaving the context ends what still runs.

    *environ* is what they get, without our secrets.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = child_environment(environ)
        self._loop = asyncio.get_running_loop()
        self._running: concurrent.futures.Future[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.cancel()
        await self._idle.wait()

    def run(self, argv: tuple[str, ...]) -> str:
        """Return what a program prints, without the white space around it; for another thread.

        :raises GoError: in Vault Agent's words, if it cannot be started, fails or takes too long.
        """
        with self._lock:
            if self._closed:
                raise _stopped()
            self._running = asyncio.run_coroutine_threadsafe(self._run(argv), self._loop)
        try:
            return self._running.result()
        except concurrent.futures.CancelledError:
            raise _stopped() from None

    async def _run(self, argv: tuple[str, ...]) -> str:
        self._idle.clear()
        try:
            return await run_program(argv, self._environ)
        finally:
            self._idle.set()


def _stopped() -> GoError:
    return GoError("Leasekeeper is stopping")


async def run_program(
    argv: tuple[str, ...], environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> str:
    """Return what a program prints on its standard output; cancelling kills its process group.

    What it prints stays out of errors, because programs print what they were given.

    :raises GoError: if it cannot be started, fails, or takes longer than *timeout_s* seconds.
    """
    name = quote(argv[0])
    process = await _start(argv, environ)
    try:
        async with asyncio.timeout(timeout_s):
            printed = await _printed(process, name)
            status = await process.wait()
    except TimeoutError:
        msg = f"exec {name}: did not finish in {timeout_s:g}s"
        raise GoError(msg) from None
    finally:
        if process.returncode is None:
            await kill_group(process)
    if status:
        raise GoError(f"exec {name}: {_status(status)}")
    return decode(printed)


async def _start(argv: tuple[str, ...], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    name = quote(argv[0])
    try:
        return await asyncio.create_subprocess_exec(
            *map(encode, argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        why = f"fork/exec {argv[0]}: no such file or directory"
        if "/" not in argv[0]:
            why = f"exec: {name}: executable file not found in $PATH"
        raise GoError(f"exec {name}: {why}") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "invalid argument"
        raise GoError(f"exec {name}: fork/exec {argv[0]}: {why.lower()}") from None


async def _printed(process: asyncio.subprocess.Process, name: str) -> bytes:
    assert process.stdout is not None
    printed = bytearray()
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        printed += chunk
        if len(printed) > _LARGEST_BYTES:
            msg = f"exec {name}: prints more than {_LARGEST_BYTES >> 20} MiB"
            raise GoError(msg)
    return bytes(printed)


def _status(status: int) -> str:
    if status > 0:
        return f"exit status {status}"
    return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
