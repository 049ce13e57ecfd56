"""The directory of the state: one file, and a lock so that one process at a time uses it.

Everything here blocks and is meant for `FileWorkers`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from leasekeeper.errors import StateError
from leasekeeper.files.file_errors import translated
from leasekeeper.files.preflight import sweep
from leasekeeper.files.publish import Publication
from leasekeeper.files.target import Target

STATE_FILE, LOCK_FILE = "leasekeeper.state", "leasekeeper.lock"
# A process that is being replaced may still be stopping.
LOCK_WAIT_S = 10.0
_LOCK_POLL_S = 0.05
_LOCK_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# Thousands of secrets fit; whoever plants more must not fill our memory.
MAX_BYTES = 64 * 2**20


class StateDirectory:
    """The files below *path*."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock_path = os.path.join(path, LOCK_FILE)
        self._target = Target(path=os.path.join(path, STATE_FILE), mode=0o600)
        self._lock = -1

    def check(self) -> None:
        """Make sure that `take` will do; another process may hold it meanwhile.

        :raises PublishError: if the file system refuses.
        """
        self._make()
        with translated(self._lock_path, "locking"), contextlib.suppress(FileNotFoundError):
            os.close(os.open(self._lock_path, _LOCK_FLAGS))
        self.read()
        self.check_writable()

    def take(self) -> None:
        """Make the directory if it is missing, lock it until `release`, and sweep it.

        :raises PublishError, StateError: if that is not possible.
        """
        self._make()
        with translated(self._lock_path, "locking"):
            self._lock = fd = os.open(self._lock_path, _LOCK_FLAGS | os.O_CREAT, 0o600)
            self._wait_for_lock(fd)
        sweep([self._target], moment_s=0)

    def _make(self) -> None:
        with translated(self._path, "making the state directory"):
            Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _wait_for_lock(self, fd: int) -> None:
        end = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    self.release()
                    raise StateError(
                        f"the state directory {self._path} is in use by another process",
                        hint="give each process a state.path of its own",
                    ) from None
                time.sleep(_LOCK_POLL_S)
            else:
                return

    def release(self) -> None:
        """Let another process have the directory."""
        if self._lock != -1:
            os.close(self._lock)
            self._lock = -1

    def read(self) -> bytes | None:
        """Return the content of the file, cut off at `MAX_BYTES`; None if there is none."""
        with translated(self._target.path, "reading"):
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                fd = os.open(self._target.path, flags)
            except FileNotFoundError:
                return None
            with os.fdopen(fd, "rb") as file:
                return file.read(MAX_BYTES)

    def check_writable(self) -> None:
        """Write a file beside the state and remove it.

        :raises PublishError: if the file system refuses.
        """
        publication = Publication(self._target, b"")
        try:
            publication.stage()
        finally:
            publication.discard()

    def write(self, content: bytes) -> None:
        """Replace the file, durably and as a whole; mode 0600.

        :raises PublishError: if the file system refuses.
        """
        Publication(self._target, content).commit()

    def remove(self) -> None:
        """Remove the file."""
        with translated(self._target.path, "removing"):
            Path(self._target.path).unlink(missing_ok=True)
