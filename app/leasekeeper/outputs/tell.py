"""The four ways to tell an application that its file is new. Each is one try, to be retried."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leasekeeper.errors import NotifyError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.outputs.commands import child_environment, describe_exit, run_command
from leasekeeper.outputs.notify import Notifier, Tell
from leasekeeper.runtime.http import tls_for
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import OutputSection
from leasekeeper.settings.notify import CommandNotify, HttpNotify, SignalNotify

if TYPE_CHECKING:
    import aiohttp

_ENOUGH_BYTES = 64  # a process id has at most seven digits
_HIGHEST_PID = 1 << 22  # PID_MAX_LIMIT of 64-bit Linux
_PID_HINT = "with one container each, `pidMode: task` lets this one see the other's processes"


TellApplication = Callable[[str], bool]
"""Sends a signal to the application that `exec` runs, or has it started again (``restart``).
False when it does not run. Raises `NotifyError`."""


def plain_session() -> aiohttp.ClientSession:
    """Open a session for one request: no proxy, no cookies, no `.netrc`, nothing kept open."""
    import aiohttp

    return aiohttp.ClientSession(
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(force_close=True),
    )


def notifier_for(
    section: OutputSection | GroupSection,
    *,
    workers: FileWorkers,
    mounts: Mounts,
    rng: random.Random,
    environ: Mapping[str, str],
    session: Callable[[], aiohttp.ClientSession] = plain_session,
    tell_application: TellApplication | None = None,
) -> Notifier | None:
    """Return what *section* asks for, or None. *session* must keep away from proxies."""
    notify = section.notify
    if notify is None:
        return None
    tell: Tell
    if notify.http is not None:
        tell = ByHttp(notify.http, session)
    elif notify.signal is not None:
        mount = mounts.of(notify.signal.pid_file)
        tell = BySignal(notify.signal, workers, mount)
    elif notify.exec is not None:
        assert tell_application is not None
        tell = ByExec(notify.exec, tell_application)
    else:
        assert notify.command is not None
        tell = ByCommand(
            notify.command, child_environment(environ, destination=section.destination)
        )
    return Notifier(
        tell, output=section.label, timeout_s=notify.timeout, retries=notify.retries, rng=rng
    )


@dataclass(frozen=True, slots=True)
class ByHttp:
    """Send a request without a body; any 2xx answer will do, and redirects are not followed."""

    section: HttpNotify
    session: Callable[[], aiohttp.ClientSession]

    async def __call__(self) -> bool:
        """Send it once."""
        import aiohttp

        url = self.section.url
        request = f"{self.section.method} {_without_query(url)}"
        try:
            async with (
                self.session() as session,
                session.request(
                    self.section.method, url, allow_redirects=False, ssl=tls_for(url)
                ) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"{request} failed: {_reason(error)}"
            raise NotifyError(message, hint="is the application listening there?") from error
        if not 200 <= status < 300:
            raise NotifyError(f"{request} was answered with {status}", hint=_status_hint(status))
        return True


def _without_query(url: str) -> str:
    # A query may hold a password of the application's.
    return url.partition("#")[0].partition("?")[0]


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else type(error).__name__


def _status_hint(status: int) -> str:
    if 300 <= status < 400:
        return "redirects are not followed: use the final address"
    return "the application must answer with 200 to 299"


@dataclass(frozen=True, slots=True)
class BySignal:
    """Send a signal to the process whose id is in a file.

    The file is read in a worker thread, because it may lie on the same hung volume as the output.
    """

    section: SignalNotify
    workers: FileWorkers
    mount: str

    async def __call__(self) -> bool:
        """Send it once; a missing file means that the application has not been started yet."""
        path, name = self.section.pid_file, self.section.signal
        try:
            text = await self.workers.run(
                self.mount, _read_start, path, deadline_s=None, strand=path
            )
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NotifyError(f"reading the pid file {path}: {error.strerror}") from error
        pid = _pid(text, path)
        try:
            os.kill(pid, signal.Signals[name])
        except ProcessLookupError as error:
            message = f"there is no process {pid}, which the pid file {path} names"
            raise NotifyError(message, hint=_PID_HINT) from error
        except PermissionError as error:
            message = f"not allowed to send {name} to process {pid} of {path}"
            hint = "run Leasekeeper as the same user as the application, or give it CAP_KILL"
            raise NotifyError(message, hint=hint) from error
        return True


def _read_start(path: str) -> bytes:
    # Not blocking, should it be a pipe.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(fd, _ENOUGH_BYTES)
    finally:
        os.close(fd)


def _pid(text: bytes, path: str) -> int:
    word = text.partition(b"\n")[0].strip()  # some, PostgreSQL for one, write more lines
    if not word.isdigit() or int(word) > _HIGHEST_PID:
        raise NotifyError(f"the pid file {path} does not hold a process id")
    pid = int(word)
    if pid <= 1 or pid == os.getpid():
        message = f"the pid file {path} names process {pid}, which is not the application"
        raise NotifyError(message, hint=_PID_HINT)
    return pid


@dataclass(frozen=True, slots=True)
class ByCommand:
    """Run a program in a process group of its own; exit status 0 is success."""

    section: CommandNotify
    environ: Mapping[str, str]

    async def __call__(self) -> bool:
        """Run it once."""
        program = self.section.command[0]
        try:
            status = await run_command(self.section.command, self.environ)
        except OSError as error:
            message = f"the program {program!r} cannot be started: {error.strerror}"
            raise NotifyError(message) from error
        if status != 0:
            message = f"the program {program!r} {describe_exit(status)}"
            raise NotifyError(message, hint="run it by hand to see why; its output is not kept")
        return True


@dataclass(frozen=True, slots=True)
class ByExec:
    """Tell the application that is our own child; before its start there is nobody to tell."""

    how: str
    tell: TellApplication

    async def __call__(self) -> bool:
        """Tell it once."""
        return self.tell(self.how)
