"""The child processes of the world: started with a clean environment, always ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from leasekeeper.devstack import reaper
from leasekeeper.devstack.errors import DevstackError
from leasekeeper.devstack.reaper import MARK

READY_POLL_S = 0.01
READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 5.0
# Below the range from which Linux takes the ports of outgoing connections, so that none of those
# slips in between choosing a port and listening on it.
PORTS = range(20000, 32000)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens, and which nobody else is given.

    It stays reserved until this process ends, because other worlds start at the same time, and
    the server that it is meant for takes a while to listen.
    """
    # Not the global generator: test tools seed it, and then all of them draw the same ports.
    for port in random.SystemRandom().sample(PORTS, 200):
        if is_free(port) and _reserve(port):
            return port
    raise DevstackError("there is no free port on 127.0.0.1", hint="end other local worlds")


def _reserve(port: int) -> bool:
    """Hold a name in Linux's abstract socket namespace, which goes with the process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0leasekeeper-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # the descriptor stays open, and is not inherited
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections have just been closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Processes:
    """Starts the processes of one world and sees to it that none outlives it.

    Each process runs in a session of its own, so that Ctrl-C on a terminal reaches the world
    alone. When the world itself is killed, `reaper` ends them.
    """

    def __init__(self, world_id: str) -> None:
        self.world_id = world_id
        self.started: list[Child] = []
        self._reaper: subprocess.Popen[str] | None = None

    def open(self, *directories: Path) -> None:
        """Start the reaper, which removes *directories* if the world does not."""
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={MARK: self.world_id},
        )
        for directory in directories:
            self.report(f"directory {directory}")

    def report(self, line: str) -> None:
        """Tell the reaper something."""
        if self._reaper is not None and self._reaper.stdin is not None:
            # The world goes on without its reaper; ending it is somebody's own choice.
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.write(f"{line}\n")
                self._reaper.stdin.flush()

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of a server that keeps everything in *home*."""
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        # Relative entries are meant from our own working directory, which is not the server's.
        inherited = {
            name: os.pathsep.join(os.path.abspath(part) for part in value.split(os.pathsep))
            for name in kept
            if (value := os.environ.get(name))
        }
        own = {"HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", MARK: self.world_id}
        return inherited | own

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        user: int | None = None,
        stop_signal: int = signal.SIGTERM,
        kill_signal: int = signal.SIGTERM,
    ) -> Child:
        """Start a server; its output goes to the file *log*.

        *user* is the user and group id to run as, *stop_signal* ends it in good order and
        *kill_signal* is what the reaper sends.

        :raises DevstackError: if the program cannot be executed.
        """
        with log.open("ab") as output:
            process = self._execute(name, argv, env, output, user)
        child = Child(name, process, log, stop_signal, self)
        self.started.append(child)
        self.report(f"start {process.pid} {int(kill_signal)}")
        return child

    def _execute(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str],
        output: IO[bytes],
        user: int | None,
    ) -> subprocess.Popen[bytes]:
        try:
            # Not asyncio's: uvloop's cannot change the user.
            return subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=env["HOME"],
                env=dict(env),
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                umask=0o077,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DevstackError(f"cannot start {name}: {error}") from error

    async def close(self) -> None:
        """End every process that still runs, then the reaper."""
        for child in reversed(self.started):
            await child.stop()
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            await asyncio.to_thread(self._reaper.wait)
            self._reaper = None


class Child:
    """One running server process."""

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        log: Path,
        stop_signal: int,
        owner: Processes,
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._stop_signal = stop_signal
        self._owner = owner

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, or None while the process runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(number)

    async def until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until *ready* says so.

        :raises DevstackError: if the process ends before, or takes longer than 30 s.
        """
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                while not await ready():
                    if not self.running:
                        raise self._failure(f"ended with code {self.exit_code}")
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError as error:
            raise self._failure(f"was not ready within {READY_DEADLINE_S:.0f} s") from error

    async def finish(self) -> None:
        """Wait until the process ends by itself.

        :raises DevstackError: if its exit code is not 0.
        """
        code = await asyncio.to_thread(self._process.wait)
        self._forget()
        if code != 0:
            raise self._failure(f"ended with code {code}")

    def _failure(self, what: str) -> DevstackError:
        lines = self.last_lines(3)
        return DevstackError(f"{self.name} {what}", hint="its log ends: " + " | ".join(lines))

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines of what the process has written."""
        return self.log.read_text(errors="replace").splitlines()[-count:]

    async def stop(self) -> None:
        """End the process; it is killed when it does not end within 5 s."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(self._stop_signal)
        try:
            await asyncio.to_thread(self._process.wait, STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._forget()

    def _forget(self) -> None:
        if self in self._owner.started:
            self._owner.started.remove(self)
            self._owner.report(f"stop {self.pid}")


def leftovers(world_id: str) -> list[int]:
    """Return the ids of living processes of a world, found by their environment.

    Needs `/proc`; without it, as on macOS, nothing is ever found.
    """
    mark = f"{MARK}={world_id}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
