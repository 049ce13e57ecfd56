"""Who of several tasks writes to a volume that they share, decided on the volume itself.

In one folder there are ``manifest.json``, which says who leads and what is in place, a lock for
each term, held by its leader, and ``election.lock``, held for the moment in which a term begins.

A term begins when the lock of the last one is free (its leader has ended, in whatever way) or when
its leader has not renewed the manifest for too long (it hangs, or its host does). The manifest is
what counts: before every switch of a file the leader looks whether a later term has begun, so one
that wakes up late finds itself replaced. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from leasekeeper.errors import PublishError
from leasekeeper.files.directory import NO_LOCKS
from leasekeeper.files.file_errors import translated
from leasekeeper.files.publish import Publication
from leasekeeper.files.target import Target, temp_name

VERSION = 1
_MANIFEST = "manifest.json"
_ELECTION = "election.lock"
_TERM_LOCK = re.compile(r"term-([0-9]{1,15})\.lock")
_LARGEST_BYTES = 4 << 20
_LOCK_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FD = -1
_LOCKS_HINT = "the volume must support locks: mount it as NFSv4, as EFS is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the leader of *term* has said last; *report* is for health and holds no secret."""

    term: int
    leader: str
    beat: int
    report: dict[str, Any] = field(default_factory=dict)


class Replaced(PublishError):
    """Another task leads now."""


def check_directory(path: str) -> None:
    """Make sure that an election can be held in *path*, which is made if it is missing.

    :raises PublishError: if the file system refuses, or knows no locks.
    """
    with translated(path, "looking for the leader in"):
        os.makedirs(path, mode=0o755, exist_ok=True)
        _read(path)
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(os.path.join(path, _ELECTION), _LOCK_FLAGS))
        name = os.path.join(path, temp_name(_ELECTION))
        try:
            _close(_try_lock(name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


class Election:
    """One task's part in it. *me* names the task, differently in every life of it.

    The methods are called one at a time, except for `fence`, which may be called at any time.
    """

    def __init__(self, directory: str, me: str, *, takeover_after_s: float) -> None:
        self.directory = directory
        self._me = me
        self._takeover_after_s = takeover_after_s
        self._term = 0
        self._beat = 0
        self._lock = _NO_FD
        self._last: Manifest | None = None
        self._last_news = time.monotonic()
        self.manifest: Manifest | None = None
        """As it was read last; None when there is none that makes sense."""

    @property
    def silent_s(self) -> float:
        """For how long nobody has renewed the manifest, as far as we have seen."""
        return time.monotonic() - self._last_news

    def stand(self) -> bool:
        """Become the leader if nobody leads; whether we lead.

        :raises PublishError: if the file system refuses, or knows no locks.
        """
        with translated(self.directory, "looking for the leader in"):
            self._look()
            if self._lock != _NO_FD:  # gained by an earlier call that nobody waited for
                return True
            present = self._present_term()
            old = _try_lock(self._path(_lock_name(present))) if present else None
            try:
                if present and old is None and not self._is_silent():
                    return False
                return self._begin_term_after(present)
            finally:
                _close(old)

    def fence(self) -> None:
        """Make sure that we still lead.

        :raises Replaced: if somebody else does.
        :raises PublishError: if that cannot be told.
        """
        with translated(self.directory, "looking for the leader in"):
            said = _read(self.directory)
        if self._lock == _NO_FD or (said is not None and self._is_later(said)):
            raise Replaced(f"another task leads in {self.directory} now", path=self.directory)

    def renew(self, report: dict[str, Any]) -> None:
        """Tell the others that we live, and what is in place.

        :raises PublishError: as `fence`, or if the file system refuses.
        """
        self.fence()
        self._write(report)

    def resign(self) -> Callable[[], None]:
        """Lead no more, at once. What is returned lets somebody else lead, and blocks."""
        lock, self._lock = self._lock, _NO_FD
        return partial(_close, lock)

    def _is_later(self, said: Manifest) -> bool:
        # One of an earlier term is what a leader has written that woke up late: ours goes over it.
        return said.term > self._term or (said.term == self._term and said.leader != self._me)

    def _look(self) -> None:
        self.manifest = _read(self.directory)
        if self.manifest != self._last:
            self._last, self._last_news = self.manifest, time.monotonic()

    def _is_silent(self) -> bool:
        return self.silent_s >= self._takeover_after_s

    def _present_term(self) -> int:
        """Return the number of the latest term that has begun, 0 for none."""
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        begun = map(_TERM_LOCK.fullmatch, os.listdir(self.directory))
        numbers = [int(match[1]) for match in begun if match]
        return max([*numbers, self.manifest.term if self.manifest else 0])

    def _begin_term_after(self, present: int) -> bool:
        election = _try_lock(self._path(_ELECTION))
        if election is None:
            return False
        try:
            before = self.manifest
            self._look()
            if self.manifest != before or self._present_term() != present:
                return False  # somebody was faster
            lock = _try_lock(self._path(_lock_name(present + 1)))
            if lock is None:
                return False
            self._term, self._beat, self._lock = present + 1, 0, lock
            try:
                self._write(before.report if before else {})
            except BaseException:
                self.resign()()
                raise
            self._forget_locks()
            return True
        finally:
            _close(election)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _forget_locks(self) -> None:
        for name in os.listdir(self.directory):
            match = _TERM_LOCK.fullmatch(name)
            if match and int(match[1]) < self._term:
                with contextlib.suppress(OSError):
                    os.unlink(self._path(name))

    def _write(self, report: dict[str, Any]) -> None:
        self._beat += 1
        said = Manifest(term=self._term, leader=self._me, beat=self._beat, report=report)
        document = {"version": VERSION, **{name: getattr(said, name) for name in said.__slots__}}
        data = json.dumps(document, indent=1).encode() + b"\n"
        target = Target(path=self._path(_MANIFEST), mode=0o644)
        Publication(target, data).commit()
        self.manifest = self._last = said
        self._last_news = time.monotonic()


def _try_lock(path: str) -> int | None:
    """Return a descriptor that holds the lock, or None if somebody else does."""
    # For writing: NFS makes it a write lock, and refuses that for a descriptor that only reads.
    fd = os.open(path, _LOCK_FLAGS | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in NO_LOCKS:
            message = f"locking {path}: {error.strerror}"
            raise PublishError(message, path=path, errno=error.errno, hint=_LOCKS_HINT) from error
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return fd


def _read(directory: str) -> Manifest | None:
    path = os.path.join(directory, _MANIFEST)
    try:
        # Opened anew each time, which is what makes NFS ask the server.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return _parsed(file.read(_LARGEST_BYTES))


def _parsed(data: bytes) -> Manifest | None:
    """Return the manifest in *data*, or None: one that makes no sense is as good as none."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            return None
        said = Manifest(**{name: document[name] for name in Manifest.__slots__})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = type(said.term) is type(said.beat) is int and isinstance(said.report, dict)
    return said if sound and 0 < said.term < 10**15 else None


def _lock_name(term: int) -> str:
    return f"term-{term}.lock"


def _close(fd: int | None) -> None:
    if fd is not None and fd != _NO_FD:
        with contextlib.suppress(OSError):
            os.close(fd)
