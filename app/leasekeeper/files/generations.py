"""Several files that change together: a folder for each generation, and one link that is switched.

``/config/product`` is a symbolic link to ``.product.generations/<16 hex digits>``. A reader that
opens files through the link finds those of one generation. Switching a link is also what other
clients of a network file system take best: unlike a file that is replaced while somebody has it
open, it is never missing for a moment. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from leasekeeper.files import directory
from leasekeeper.files.attempt import Attempt, Fence, no_fence
from leasekeeper.files.directory import Steps, Unsynced
from leasekeeper.files.file_errors import translated
from leasekeeper.files.publish import Fingerprint, Publication, PublishedFile
from leasekeeper.files.target import Target, prefix_of_temp, temp_name, temp_prefix

_MODE = 0o755
_UNFINISHED = ".tmp"
_GENERATION = re.compile(r"[0-9a-f]{16}")
_UNFINISHED_GENERATION = re.compile(r"[0-9a-f]{16}\.tmp")
_LOCK = ".lock"
_NO_FD = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a group; the folder of its *target* is the link."""

    target: Target
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedGeneration:
    """The generation that the link shows, known to hold what was asked for."""

    fingerprint: tuple[str, tuple[Fingerprint, ...]]
    rewritten: bool = False
    mended: bool = False
    forced: bool = False

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.fingerprint[0]


def store_of(link: str) -> str:
    """Return the folder that holds the generations of *link*."""
    head, name = os.path.split(link)
    return os.path.join(head, f".{name}.generations")


def current(link: str) -> str | None:
    """Return the name of the generation that *link* shows, or None if that is none of ours."""
    try:
        target = os.readlink(link)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # no link
            return None
        raise
    store, name = os.path.split(target)
    ours = store == os.path.basename(store_of(link)) and _GENERATION.fullmatch(name)
    return name if ours else None


def is_as_switched(
    link: str, names: Sequence[str], fingerprint: tuple[str, tuple[Fingerprint, ...]]
) -> bool:
    """Whether *link* shows that generation, and its files *names* are as they were left."""
    with translated(link, "looking at"):
        if current(link) != fingerprint[0]:
            return False
        try:
            marks = tuple(Fingerprint.of(os.lstat(os.path.join(link, name))) for name in names)
        except FileNotFoundError:
            return False
        return marks == fingerprint[1]


def remove_switched(link: str, fingerprint: tuple[str, tuple[Fingerprint, ...]]) -> bool:
    """Remove *link* and all generations if it still shows that one; whether it did."""
    with translated(link, "removing"):
        if current(link) != fingerprint[0]:
            return False
        os.unlink(link)
        shutil.rmtree(store_of(link))
        return True


def superseded(link: str) -> list[str]:
    """Return the names of the generations that *link* does not show."""
    with translated(link, "looking for old generations of"):
        try:
            names = os.listdir(store_of(link))
        except FileNotFoundError:
            return []
        return sorted({name for name in names if _GENERATION.fullmatch(name)} - {current(link)})


def remove_generations(link: str, names: Sequence[str]) -> None:
    """Remove old generations, but never the one that *link* shows."""
    with translated(link, "removing old generations of"):
        for name in names:
            if name != current(link):
                shutil.rmtree(os.path.join(store_of(link), name), ignore_errors=True)


class GenerationSwitch(Attempt[PublishedGeneration]):
    """An attempt to make *link* show *members*: staged in a folder of its own, then linked.

    Whoever else publishes there is locked out meanwhile, so that what a killed process has left
    half-made can be told from what a living one is making.
    """

    def __init__(self, link: str, members: Sequence[Member], *, fence: Fence = no_fence) -> None:
        super().__init__(link, fence)
        self._members = members
        self._name = ""
        self._unfinished = ""
        self._lock = _NO_FD
        self._marks: tuple[Fingerprint, ...] = ()

    @property
    def temp_path(self) -> str:
        """Path of the folder with the staged files, named as in the link."""
        return os.path.join(store_of(self._path), self._unfinished)

    def discard(self) -> None:
        """Remove the staged folder, if there is one, and let others publish."""
        if self._unfinished:
            shutil.rmtree(self.temp_path, ignore_errors=True)
        self._unfinished = ""
        if self._lock != _NO_FD:
            with contextlib.suppress(OSError):
                os.close(self._lock)
        self._lock = _NO_FD

    def _stage(self) -> PublishedGeneration | None:
        store = store_of(self._path)
        _make_store(store)
        self._lock = _locked(os.path.join(store, _LOCK))
        if self._lock != _NO_FD:
            _sweep(self._path)
        if (found := self._already_there()) is not None:
            self.discard()
            return found
        self._name = secrets.token_hex(8)
        self._unfinished = self._name + _UNFINISHED
        os.mkdir(self.temp_path, 0o700)
        self._marks = tuple(map(self._write, self._members))
        return None

    def _write(self, member: Member) -> Fingerprint:
        self._check_revoked()
        target = member.target.moved_to(self.temp_path)
        if target.mode is None:  # that of the file which is there now
            with contextlib.suppress(FileNotFoundError):
                target = replace(target, mode=stat.S_IMODE(os.stat(member.target.path).st_mode))
        publication = Publication(target, member.content)
        return (publication.stage() or publication.commit()).fingerprint

    def _already_there(self) -> PublishedGeneration | None:
        """Return the present generation if it holds our files and no others."""
        name = current(self._path)
        if name is None:
            return None
        place = os.path.join(store_of(self._path), name)
        files = []
        try:
            if sorted(os.listdir(place)) != sorted(m.target.name for m in self._members):
                return None
            for member in self._members:
                if (file := _find(member, place)) is None:
                    return None
                files.append(file)
        except (FileNotFoundError, IsADirectoryError):
            return None
        return PublishedGeneration(
            fingerprint=(name, tuple(file.fingerprint for file in files)),
            mended=any(file.mended for file in files),
        )

    def _commit(self) -> Steps[PublishedGeneration]:
        if not self._unfinished and (found := self._stage()) is not None:
            return found
        store = store_of(self._path)
        os.chmod(self.temp_path, _MODE)  # the application, another user, has to get through
        os.rename(self.temp_path, os.path.join(store, self._name))
        self._unfinished = self._name
        yield from _durable(store)
        yield from self._link(os.path.join(os.path.basename(store), self._name))
        self.discard()
        return PublishedGeneration(fingerprint=(self._name, self._marks), rewritten=True)

    def _link(self, target: str) -> Steps[None]:
        head, name = os.path.split(self._path)
        temp = os.path.join(head, temp_name(name))
        os.symlink(target, temp)
        try:
            self._allow_switch()
            _check_place(self._path)
            os.rename(temp, self._path)
            self._unfinished = ""  # readers use it now, whatever fails below
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temp)
            raise
        yield from _durable(head)
        if os.readlink(self._path) != target:
            # The folder was swapped under us, or somebody has switched the link already.
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _find(member: Member, place: str) -> PublishedFile | None:
    publication = Publication(member.target.moved_to(place), member.content)
    try:
        return publication.find()
    finally:
        publication.discard()


def _make_store(path: str) -> None:
    target = Target(path=os.path.join(path, _LOCK))
    os.close(directory.open_directory(target))
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _check_place(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        directory.check_replaceable(os.lstat(path))


def _locked(path: str) -> int:
    """Return the descriptor of the lock, held; -1 on a file system without locks."""
    # For writing: NFS makes it a write lock, and refuses that for a descriptor that only reads.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in directory.NO_LOCKS:
            return _NO_FD
        raise
    return fd


def _sweep(link: str) -> None:
    """Remove what a killed writer has left half-made; the lock says that none is alive."""
    store = store_of(link)
    for name in filter(_UNFINISHED_GENERATION.fullmatch, os.listdir(store)):
        shutil.rmtree(os.path.join(store, name), ignore_errors=True)
    head, base = os.path.split(link)
    for name in os.listdir(head):
        path = os.path.join(head, name)
        if prefix_of_temp(name) == temp_prefix(base) and os.path.islink(path):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _durable(path: str) -> Steps[None]:
    fd = os.open(path, directory.DIRECTORY_FLAGS)
    try:
        yield Unsynced(path, fd)
    finally:
        os.close(fd)
