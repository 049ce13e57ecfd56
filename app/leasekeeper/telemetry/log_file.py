"""A copy of the log in a file that is rotated by size and age.

Rotated files keep the name with the time, in nanoseconds, before its extension, as Vault Agent
calls them: ``agent.log`` becomes ``agent-1795375320735624708.log``.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

_MODE = 0o640
_DEFAULT_NAME = "leasekeeper.log"
# The log of many minutes; a volume that hangs for longer loses lines instead of our memory.
_MOST_WAITING = 2000
# How long the last lines may take, in seconds.
_CLOSING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file is rotated, 0 being never, and how many old ones stay: 0 all, -1 none."""

    size_bytes: int = 0
    age_s: float = 86400.0
    max_files: int = 0


def path_of(path: str) -> Path:
    """Return the file that *path* means: in a directory, which ends with a slash, our own name."""
    return Path(path) / _DEFAULT_NAME if path.endswith("/") else Path(path)


class LogFile:
    """Appends lines in a thread of its own, so that a hung volume stops nobody.

    Lines are dropped while the file takes none. A *path* that ends with a slash is a directory.

    :raises OSError: if the file cannot be opened.
    """

    def __init__(self, path: str, rotation: Rotation) -> None:
        self._path = path_of(path)
        self._rotation = rotation
        # Not `Queue`: what is thrown away in the middle of this may log its end.
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._open()
        self._thread = threading.Thread(target=self._run, name="log file", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Have *line* written; never waits."""
        if self._lines.qsize() < _MOST_WAITING:
            self._lines.put(line)

    def close(self) -> None:
        """Write what is waiting, within a second."""
        self._lines.put(None)
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            # A full volume, or a directory that is gone, is no reason to end: the next line may
            # find it mended, and standard output has them all.
            with contextlib.suppress(OSError):
                if self._is_due():
                    self._rotate()
                os.write(self._file, line)
                self._size += len(line)
        os.close(self._file)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, _MODE)
        status = os.fstat(self._file)
        self._size, self._opened = status.st_size, time.monotonic()
        # Nobody wants /dev/stdout or /dev/null put aside.
        self._rotates = stat.S_ISREG(status.st_mode)

    def _is_due(self) -> bool:
        rotation = self._rotation
        if not self._rotates:
            return False
        too_large = 0 < rotation.size_bytes <= self._size
        return too_large or 0 < rotation.age_s <= time.monotonic() - self._opened

    def _rotate(self) -> None:
        stem, extension = self._path.stem, self._path.suffix or ".log"
        os.rename(self._path, self._path.with_name(f"{stem}-{time.time_ns()}{extension}"))
        old = self._file
        self._open()
        os.close(old)
        if most := self._rotation.max_files:
            names = sorted(
                one for one in self._path.parent.glob(f"{_literal(stem)}-*{_literal(extension)}")
                if one.name[len(stem) + 1 : -len(extension)].isdigit()
            )  # fmt: skip
            for one in names[: len(names) - max(most, 0)]:
                one.unlink(missing_ok=True)


def _literal(name: str) -> str:
    import glob

    return glob.escape(name)
