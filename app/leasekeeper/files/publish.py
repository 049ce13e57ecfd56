"""Putting content at a path so that a reader sees the old file or the new one, never less.

Everything here blocks and is meant for `FileWorkers`. What a reader sees changes at one point, the
rename. Whatever fails before it leaves the old file as it was and no temporary file behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from leasekeeper.files import directory
from leasekeeper.files.attempt import Attempt, Fence, no_fence
from leasekeeper.files.directory import Steps, Unsynced
from leasekeeper.files.file_errors import OWNER_HINT, publish_error, translated
from leasekeeper.files.target import Target, temp_name

_CHUNK_BYTES = 1 << 20
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOENT, errno.ENXIO})
_NO_FD = -1
# Of a file whose mode is kept, when there is none yet.
_NEW_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What `stat` says of a file; while it stays the same, so has the content."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int  # which nobody can set back
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, status: os.stat_result) -> Fingerprint:
        """Return the fingerprint in *status*."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            mode=status.st_mode,
            uid=status.st_uid,
            gid=status.st_gid,
        )

    @property
    def version(self) -> tuple[int, int, int, int]:
        """What stays the same while only mode and owner are changed."""
        return self.device, self.inode, self.size, self.mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """The file at the destination, known to hold the content that was asked for.

    *rewritten* when this attempt replaced it, *mended* when it only put mode or owner right.
    *forced* when the file system keeps another mode or owner than the one it was told.
    *backup_errno* says why there is no backup of the file before, or is 0.
    """

    fingerprint: Fingerprint
    rewritten: bool = False
    mended: bool = False
    forced: bool = False
    backup_errno: int = 0


def is_as_published(path: str, fingerprint: Fingerprint | None) -> bool:
    """Whether the file at *path* is the one with *fingerprint*, by one `lstat`."""
    with translated(path, "looking at"):
        try:
            return Fingerprint.of(os.lstat(path)) == fingerprint
        except FileNotFoundError:
            return False


def is_missing(path: str) -> bool:
    """Whether there is nothing at *path*, by one `lstat`."""
    with translated(path, "looking at"):
        try:
            os.lstat(path)
        except FileNotFoundError:
            return True
        return False


def remove_published(path: str, fingerprint: Fingerprint) -> bool:
    """Remove the file at *path* if it is still the one with *fingerprint*; whether it was."""
    with translated(path, "removing"):
        try:
            if Fingerprint.of(os.lstat(path)).version != fingerprint.version:
                return False
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True


class Publication(Attempt[PublishedFile]):
    """An attempt to put *content* at *target*: staged in a temporary file beside it, then renamed.

    A file with wrong mode or owner that holds the content already is put right in place. One with
    the fingerprint *other* is known to hold something else, and not read.
    """

    def __init__(
        self,
        target: Target,
        content: bytes,
        *,
        fence: Fence = no_fence,
        other: Fingerprint | None = None,
    ) -> None:
        super().__init__(target.path, fence)
        self._other = other
        self._target = target
        self._content = content
        self._renamed = False
        self._uid = self._gid = -1
        self._mode = _NEW_MODE
        self._backup_errno = 0
        self._directory = self._file = _NO_FD
        self._temp = ""

    @property
    def temp_path(self) -> str:
        """Path of the staged file: complete, mode 0600, ours."""
        return os.path.join(self._target.directory, self._temp)

    def discard(self) -> None:
        """Remove the temporary file, if there is one."""
        if self._temp:
            with contextlib.suppress(OSError):
                os.unlink(self._temp, dir_fd=self._directory)
        self._temp = ""
        self._file = _close(self._file)
        self._directory = _close(self._directory)

    def find(self) -> PublishedFile | None:
        """Return the file that is there if it holds the content; leave the rest to `discard`.

        :raises OSError: if the file system does not tell, or something else has the name.
        """
        self._uid, self._gid = self._target.owner_ids()
        self._directory = directory.open_directory(self._target)
        self._mode = self._wanted_mode()
        return self._already_there()

    def _wanted_mode(self) -> int:
        if self._target.mode is not None:
            return self._target.mode
        status = directory.lstat(self._target.name, self._directory)
        if status is None or not stat.S_ISREG(status.st_mode):
            return _NEW_MODE
        return stat.S_IMODE(status.st_mode) & 0o777

    def _stage(self) -> PublishedFile | None:
        if (found := self.find()) is not None:
            self.discard()
            return found
        self._temp, self._file = directory.create_temp(self._target.name, self._directory)
        rest = memoryview(self._content)
        while rest:
            self._check_revoked()
            rest = rest[os.write(self._file, rest[:_CHUNK_BYTES]) :]
        self._check_revoked()
        return None

    def _commit(self) -> Steps[PublishedFile]:
        # After a transient failure the attempt starts over, staging included.
        if not self._temp and (found := self._stage()) is not None:
            return found
        ours = self._dress_temp()
        os.fsync(self._file)  # where NFS tells of a full volume
        self._allow_switch()
        fd = self._directory
        if self._target.backup:
            self._back_up()
        os.rename(self._temp, self._target.name, src_dir_fd=fd, dst_dir_fd=fd)
        self._temp, self._renamed = "", True
        yield Unsynced(self._target.directory, fd)
        return self._seen_by_readers(ours)

    def _back_up(self) -> None:
        """Let the file before have a second name, in one step; without one nothing happens.

        That it cannot be done is told, and no reason to keep a new credential back.
        """
        fd, name = self._directory, self._target.name
        temp = temp_name(f"{name}.bak")
        try:
            os.link(name, temp, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
            os.rename(temp, f"{name}.bak", src_dir_fd=fd, dst_dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._backup_errno = error.errno or errno.EIO
            with contextlib.suppress(OSError):
                os.unlink(temp, dir_fd=fd)

    def _dress_temp(self) -> os.stat_result:
        status = os.fstat(self._file)
        try:
            self._dress(self._file, status)
        except PermissionError as error:
            doing, number = "setting mode and owner of the new", error.errno or errno.EPERM
            told = publish_error(self._target.path, doing, number, hint=OWNER_HINT)
            told.code = "LK-FILE-007"
            raise told from error
        return status

    def _seen_by_readers(self, ours: os.stat_result) -> PublishedFile:
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self._target.path)
            if (ours.st_dev, ours.st_ino) == (status.st_dev, status.st_ino):
                self.discard()
                return self._published(status)
        # The directory was swapped under us, or somebody has replaced the file already.
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _already_there(self) -> PublishedFile | None:
        status = directory.lstat(self._target.name, self._directory)
        if status is None:
            return None
        directory.check_replaceable(status)
        if not stat.S_ISREG(status.st_mode) or status.st_size != len(self._content):
            return None
        if Fingerprint.of(status) == self._other:  # a rotation often comes in the same size
            return None
        try:
            fd = os.open(self._target.name, _READ_FLAGS, dir_fd=self._directory)
        except OSError as error:
            if error.errno in _UNREADABLE:
                return None  # what cannot be read can still be replaced
            raise
        try:
            return self._compare(fd)
        finally:
            os.close(fd)

    def _compare(self, fd: int) -> PublishedFile | None:
        if not _holds(fd, self._content):
            return None
        try:
            mended = self._dress(fd, os.fstat(fd))
        except PermissionError:
            return None  # somebody else's file: replace it by one of ours
        return self._published(os.fstat(fd), mended=mended)

    def _dress(self, fd: int, status: os.stat_result) -> bool:
        """Set mode and owner where they differ from *status*; return whether anything did."""
        if not self._differs(status):
            return False
        # Group, mode, owner: at no moment may a wrong group or user read, and CAP_CHOWN is enough,
        # while the mode of a file that was given away first could not be changed any more.
        if self._gid not in (-1, status.st_gid):
            os.fchown(fd, -1, self._gid)
        os.fchmod(fd, self._mode)
        if self._uid not in (-1, status.st_uid):
            os.fchown(fd, self._uid, -1)
        return True

    def _differs(self, status: os.stat_result) -> bool:
        return (
            stat.S_IMODE(status.st_mode) != self._mode
            or self._uid not in (-1, status.st_uid)
            or self._gid not in (-1, status.st_gid)
        )

    def _published(self, status: os.stat_result, *, mended: bool = False) -> PublishedFile:
        forced = self._differs(status)
        return PublishedFile(
            fingerprint=Fingerprint.of(status),
            rewritten=self._renamed,
            mended=mended and not forced,
            forced=forced,
            backup_errno=self._backup_errno,
        )


def _holds(fd: int, content: bytes) -> bool:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != len(content):
        return False
    rest = memoryview(content)
    while rest:
        chunk = os.read(fd, min(len(rest), _CHUNK_BYTES))
        if not chunk or chunk != rest[: len(chunk)]:
            return False
        rest = rest[len(chunk) :]
    return True


def _close(fd: int) -> int:
    if fd != _NO_FD:
        with contextlib.suppress(OSError):  # fsync has told already what close could tell
            os.close(fd)
    return _NO_FD
