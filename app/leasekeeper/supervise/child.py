"""One run of the application."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Mapping, Sequence

from leasekeeper.errors import ApplicationError
from leasekeeper.telemetry.events import log

_REAP_S = 5.0  # a killed process that does not end within this hangs in the kernel
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
_HINTS = {
    errno.ENOENT: "is it in this image, with the interpreter that its first line names?",
    errno.EACCES: "it has to be a file that this user may execute",
    errno.E2BIG: "the environment is too large: write the largest values to files instead",
}


class Child:
    """A process in a session of its own, which a terminal's signals do not reach.

    It shares our standard streams. Signals go to the process alone, as from Vault Agent; what it
    leaves behind in its process group is killed when it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        stdout: str | None = None,
        stderr: str | None = None,
    ) -> Child:
        """Start *command*; what it writes is appended to the files *stdout* and *stderr*, if given.

        :raises ApplicationError: if that is not possible.
        """
        with contextlib.ExitStack() as files:
            out, err = [await _appending(path, files) for path in (stdout, stderr)]
            log.flush()  # what led to this comes before what the application says
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, env=dict(environ), start_new_session=True, stdout=out, stderr=err
                )
            except OSError as error:
                what = f"starting the application {command[0]!r}"
                raise _failure(what, error, _HINTS.get(error.errno or 0)) from error
        return cls(process)

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, number: signal.Signals, *, timeout_s: float) -> bool:
        """Ask it to end with a signal; kill it after *timeout_s*. Whether it ended by itself."""
        self.send(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.wait()
        ended = self.status is not None
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP_S):
                await self.wait()
        return ended

    def kill(self) -> None:
        """Kill it, and whatever is left of its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


async def _appending(path: str | None, files: contextlib.ExitStack) -> int | None:
    if path is None:
        return None  # it inherits ours
    try:
        # In a thread: opening a file on a network file system can take long.
        number = await asyncio.to_thread(os.open, path, _APPEND, 0o644)
    except OSError as error:
        hint = "its directory has to exist, and this user to be allowed to write there"
        raise _failure(f"opening {path} for the application's output", error, hint) from error
    files.callback(os.close, number)
    return number


def _failure(what: str, error: OSError, hint: str | None) -> ApplicationError:
    reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    return ApplicationError(f"{what}: {reason}", hint=hint)
