"""Getting log lines to whoever reads them, who may be slow, or gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

# How long a full pipe may hold up a line, once.
_PATIENCE_MS = 100
# How long a line may wait for others: 20 of them, in a busy start, cost one write. Each write gives
# the interpreter away to the threads that write files, and gets it back late.
_TOGETHER_S = 0.01


class LineWriter:
    """Writes whole lines. A reader that is slow, or has gone away, never stops the sidecar.

    A log driver that cannot deliver stops reading, and a write to a full pipe would stop the event
    loop with every renewal in it. So lines that nobody takes are dropped; *on_dropped* gets their
    number, and may write, as soon as something is taken again. Any thread may write.
    """

    def __init__(self, out: TextIO, on_dropped: Callable[[int], None]) -> None:
        self._out = out
        self._on_dropped = on_dropped
        self._dropped = 0
        self._before = b""
        self._waiting: list[bytes] = []
        self._size = 0
        # Reentrant: what is thrown away in the middle of this may log its end.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._is_due = False
        self._poll = select.poll()
        self._file: int | None = None
        with contextlib.suppress(OSError, ValueError):  # no file behind it
            self._file = out.fileno()
            self._poll.register(self._file, select.POLLOUT)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Until the end, let lines of the running loop wait a little for each other.

        What comes from elsewhere, and what must not wait, is written at once after what waits.
        """
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        try:
            yield
        finally:
            self._loop, self._thread, self._is_due = None, 0, False
            self.flush()

    def write(self, line: bytes, *, at_once: bool = False) -> None:
        """Write *line*, which ends with a newline, after all that came before it."""
        with self._lock:
            # One write of so much is atomic: no line has another process's in the middle.
            if len(self._before) + self._size + len(line) > select.PIPE_BUF:
                self.flush()
            self._waiting.append(line)
            self._size += len(line)
            if at_once or self._loop is None or threading.get_ident() != self._thread:
                self.flush()
            elif not self._is_due:
                self._is_due = True
                self._loop.call_later(_TOGETHER_S, self._flush_when_due)

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:
            lines, self._waiting, self._size = self._waiting, [], 0
            if not lines:
                return
            if self._dropped and self._is_taken():
                dropped, self._dropped = self._dropped, 0
                self._on_dropped(dropped)
                self.flush()
            try:
                if self._file is None:
                    self._out.write(b"".join(lines).decode())
                    self._out.flush()
                else:
                    self._put(self._file, lines)
            except (OSError, ValueError):
                # Nobody reads our log any more, which is no reason to let credentials expire.
                pass

    def _flush_when_due(self) -> None:
        self._is_due = False
        self.flush()

    def _put(self, file: int, lines: list[bytes]) -> None:
        rest = self._before + b"".join(lines)
        whole = len(rest)
        # A pipe that takes anything takes this much without waiting.
        while rest and self._is_taken():
            rest = rest[os.write(file, rest[: select.PIPE_BUF]) :]
        if rest:
            self._dropped += len(lines)
        if len(rest) < whole:
            self._before = b"\n" if rest else b""  # the next line does not continue half of one

    def _is_taken(self) -> bool:
        # The first wait is long enough for any reader that is alive; after that none is due.
        return bool(self._poll.poll(0 if self._dropped else _PATIENCE_MS))
