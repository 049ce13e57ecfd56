"""Ends what a killed world leaves behind; run as a script, with a pipe from the world as stdin.

The world reports what it starts (``start PID SIGNAL``), what it has ended (``stop PID``) and
its directories (``directory PATH``). When the pipe closes, the world has gone, whatever the
reason, SIGKILL included: the reaper ends every process still on its list and removes the
directories. After an orderly stop its list is empty.

Why not PR_SET_PDEATHSIG: it follows the *thread* that forked, is forgotten when the child
changes its user, as PostgreSQL's does under root, removes no directories, and is Linux only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

# Environment variable that marks every process of a world; its value is the world's id.
MARK = "DEVSTACK_WORLD"
# How long a process may take to end before it is killed, in seconds. PostgreSQL's immediate
# shutdown, which also frees its shared memory, takes about 0.1 s.
PATIENCE_S = 5.0


def main() -> None:
    """Follow the reports until the pipe closes, then clean up."""
    for harmless in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(harmless, signal.SIG_IGN)
    started: dict[int, int] = {}
    directories: list[str] = []
    for line in sys.stdin:
        word, _, value = line.rstrip("\n").partition(" ")
        if word == "start":
            pid, _, number = value.partition(" ")
            started[int(pid)] = int(number)
        elif word == "stop":
            started.pop(int(value), None)
        elif word == "directory":
            directories.append(value)
    _end(started)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _end(started: dict[int, int]) -> None:
    for pid, number in started.items():
        _signal(pid, number)
    deadline = time.monotonic() + PATIENCE_S
    while any(_signal(pid, 0) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in started:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> bool:
    """Send a signal to a process of our world; False says that there is no such process."""
    try:
        if not _is_ours(pid):
            return False
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _is_ours(pid: int) -> bool:
    """Whether the process has our mark: a zombie has none, nor has who got a used id."""
    if not os.path.isdir("/proc/self"):
        return True
    mark = f"{MARK}={os.environ[MARK]}".encode()
    with open(f"/proc/{pid}/environ", "rb") as environment:
        return mark in environment.read().split(b"\0")


if __name__ == "__main__":
    main()
