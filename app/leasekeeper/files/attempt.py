"""One attempt to change what readers see, which happens at one point or not at all."""

from __future__ import annotations

import errno
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from leasekeeper.errors import PublishError
from leasekeeper.files.directory import Steps, alone
from leasekeeper.files.file_errors import translated

R = TypeVar("R")
T = TypeVar("T")

TRANSIENT = frozenset({errno.ESTALE, errno.EINTR, errno.EAGAIN})
"""Errors of network file systems that looking the directory up again often cures."""
RETRY_PAUSES_S = (0.02, 0.1, 0.5)
"""Pauses before the second and later tries; together well below any publish deadline."""

Fence = Callable[[], None]
"""Called in the worker thread before the switch; raises when somebody else may switch now."""


def no_fence() -> None:
    """Let everything pass: nobody else writes there."""


class Attempt(ABC, Generic[R]):
    """Prepared by `stage`, done by `commit`; `discard` ends it early.

    These three are called from worker threads, one at a time. `revoke` may be called at any time
    from anywhere: after it nothing is switched, so an attempt that was given up while it hung
    cannot surprise anybody later. (A rename that hangs in the kernel is past recall. Whoever gives
    up lets it end before starting anew, which is what a strand of `FileWorkers` is for.)

    :raises PublishError: from `stage` and `commit`, when the file system refuses. What was prepared
        is gone then, and what readers see is the old unless the switch itself had succeeded.
    """

    def __init__(self, path: str, fence: Fence) -> None:
        self._path = path
        self._fence = fence
        self._revoked = threading.Event()
        self._begun = self._switching = False

    @property
    def begun(self) -> bool:
        """After `revoke`: False means that there is nothing to discard, now and later."""
        return self._begun

    @property
    def in_doubt(self) -> bool:
        """After `revoke`: whether the new may be in place, or may still get there."""
        return self._switching

    @property
    @abstractmethod
    def temp_path(self) -> str:
        """Path of what is staged: complete, and ours alone."""

    def revoke(self) -> None:
        """Give the attempt up; a commit that has not yet switched will not."""
        self._revoked.set()

    def stage(self) -> R | None:
        """Prepare everything that readers do not see.

        Returns what is in place instead when that is as it should be already.
        """
        return alone(self._persistently(self._staging))

    def commit(self) -> R:
        """Make what is staged durable and show it to readers; stage it first if nothing is."""
        return alone(self.steps())

    def steps(self) -> Steps[R]:
        """`commit`, for whoever makes directories durable for many at once."""
        return self._persistently(self._commit)

    @abstractmethod
    def discard(self) -> None:
        """Remove what is staged, if there is anything."""

    @abstractmethod
    def _stage(self) -> R | None: ...

    def _staging(self) -> Steps[R | None]:
        yield from ()
        return self._stage()

    @abstractmethod
    def _commit(self) -> Steps[R]:
        """Commit; at first, and after a transient failure, nothing may be staged."""

    def _persistently(self, step: Callable[[], Steps[T]]) -> Steps[T]:
        self._begun = True
        with translated(self._path, "writing"):
            for pause_s in RETRY_PAUSES_S:
                try:
                    return (yield from self._cleanly(step))
                except OSError as error:
                    if error.errno not in TRANSIENT:
                        raise
                self._revoked.wait(pause_s)
            return (yield from self._cleanly(step))

    def _cleanly(self, step: Callable[[], Steps[T]]) -> Steps[T]:
        try:
            return (yield from step())
        except BaseException:
            self.discard()
            raise

    def _allow_switch(self) -> None:
        self._switching = True  # first this, then the checks: what `in_doubt` says must hold
        self._fence()
        self._check_revoked()

    def _check_revoked(self) -> None:
        if self._revoked.is_set():
            raise PublishError(f"writing {self._path} was given up", path=self._path)
