"""System calls on one directory, by descriptor: whoever renames the path meanwhile changes nothing.

Everything here blocks and raises `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

from leasekeeper.files.target import Target, temp_name

T = TypeVar("T")

_DIRECTORY_MODE = 0o755
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TEMP_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME_TRIES = 3  # 64 random bits never collide; somebody who plants names can be unlucky for us
# What file systems without a way to make a directory durable answer.
_NOT_DURABLE = frozenset({errno.EINVAL, errno.ENOTSUP})

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems without locks answer."""


class Unsynced(NamedTuple):
    """A directory that was opened at *path*, with a change in it that is not durable yet."""

    path: str
    fd: int


Steps = Generator[Unsynced, None, T]
"""Blocking work that waits for each directory that it yields to be made durable."""


def alone(steps: Steps[T]) -> T:
    """Take *steps* one after the other, making each directory durable when it comes up."""
    error: OSError | None = None
    while True:
        try:
            place = next(steps) if error is None else steps.throw(error)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        error = make_durable([place.fd])


def make_durable(fds: Sequence[int]) -> OSError | None:
    """Make what happened in the directories *fds*, many of them the same, durable; or say why not.

    Who finds his change at the path afterwards knows that its directory was meant: a path that
    leads to another one since it was opened is noticed then.
    """
    try:
        for fd in fds if len(fds) == 1 else {_identity(fd): fd for fd in fds}.values():
            _sync_directory(fd)
    except OSError as error:
        return error
    return None


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def open_directory(target: Target) -> int:
    """Open the directory of *target*, made first if it is missing and may be."""
    try:
        return os.open(target.directory, DIRECTORY_FLAGS)
    except FileNotFoundError:
        if not target.create_dirs:
            raise
    _make_directories(target.directory)
    return os.open(target.directory, DIRECTORY_FLAGS)


def _make_directories(path: str) -> None:
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        _make_directories(parent)
    try:
        os.mkdir(path, _DIRECTORY_MODE)
    except FileExistsError:
        return
    # Whatever the umask: the application, another user, has to get through.
    fd = os.open(path, DIRECTORY_FLAGS | os.O_NOFOLLOW)
    try:
        os.fchmod(fd, _DIRECTORY_MODE)
    finally:
        os.close(fd)


def create_temp(name: str, directory: int) -> tuple[str, int]:
    """Create a temporary file for *name*, mode 0600, and return its name and descriptor.

    It is locked as long as the descriptor is open, which tells a sweep that its writer lives.
    """
    for tries_left in reversed(range(_NAME_TRIES)):
        temp = temp_name(name)
        try:
            fd = os.open(temp, _TEMP_FLAGS, 0o600, dir_fd=directory)
        except FileExistsError:
            if not tries_left:
                raise
        else:
            with contextlib.suppress(OSError):  # a file system without locks is swept less
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return temp, fd
    raise AssertionError


def _sync_directory(fd: int) -> None:
    """Make what happened in the directory durable, where the file system can."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NOT_DURABLE:
            raise


def lstat(name: str, directory: int) -> os.stat_result | None:
    """Return the status of *name* itself, or None when there is nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def check_replaceable(status: os.stat_result) -> None:
    """Refuse to publish over a directory or a device.

    Links, sockets and pipes are replaced like files and never followed, opened or waited for. A
    device is not: renaming a file over ``/dev/null`` would break everything else.
    """
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
