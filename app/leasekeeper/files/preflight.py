"""Before the first login: can every destination be written, and what did a crash leave behind?"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from leasekeeper.errors import AgentError, PublishError
from leasekeeper.files import directory
from leasekeeper.files.file_errors import publish_error, translated
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.target import Target, prefix_of_temp, temp_prefix
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import OutputSection
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.telemetry.events import log

T = TypeVar("T")
Section = OutputSection | GroupSection | SinkSection

DEADLINE_S = 20.0
"""A volume that is slower is not usable; well below the default start-up deadline."""

MOMENT_S = 0.5
"""A temporary file that is younger may not be locked by its writer yet, so it is given so long."""
_VOLUME_MISSING = frozenset({errno.ENOENT, errno.EROFS, errno.EACCES})


async def preflight(
    sections: Sequence[Section], *, deadline_s: float = DEADLINE_S
) -> list[AgentError]:
    """Return everything that would keep *sections* from being published, all at once.

    Creates and removes an empty file in each directory, which is made first if it may be. A mount
    that does not answer within *deadline_s* seconds is a problem like others.
    """
    mounts = Mounts.current()

    def silent(mount: str) -> list[AgentError]:
        return [publish_error(mount, "checking the destinations on", errno.ETIMEDOUT)]

    return await _on_each_mount(sections, mounts, partial(check, mounts), silent, deadline_s)


@dataclass(frozen=True, slots=True)
class Look:
    """A look at *path*, which raises what is wrong with it. Blocks."""

    path: str
    at: Callable[[], object]


async def examine(looks: Sequence[Look], *, deadline_s: float = DEADLINE_S) -> list[AgentError]:
    """Return what the *looks* raise, each in a thread of its path's mount."""
    mounts, workers = Mounts.current(), FileWorkers()

    async def one(look: Look) -> list[AgentError]:
        try:
            await workers.run(mounts.of(look.path), look.at, deadline_s=deadline_s)
        except AgentError as error:
            return [error]
        except TimeoutError:
            return [publish_error(look.path, "looking at", errno.ETIMEDOUT)]
        return []

    try:
        found = await asyncio.gather(*map(one, looks))
    finally:
        await workers.close(grace_s=0)
    return [each for several in found for each in several]


def check_plain_file(path: str, doing: str) -> None:
    """Make sure that *path*, which is no output, can be opened for writing; leave no file. Blocks.

    :raises PublishError: if it cannot.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with translated(path, doing):
        try:
            os.close(os.open(path, flags))
        except FileNotFoundError:
            os.close(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(path)


async def sweep_leftovers(sections: Sequence[Section], *, deadline_s: float = DEADLINE_S) -> None:
    """Remove what killed writers of *sections* left behind, as far as that is certain."""
    removed = await _on_each_mount(sections, Mounts.current(), sweep, lambda _mount: [], deadline_s)
    if removed:
        log.info("file.leftovers_removed", files=removed)


async def _on_each_mount(
    sections: Sequence[Section],
    mounts: Mounts,
    function: Callable[[list[Target]], list[T]],
    silent: Callable[[str], list[T]],
    deadline_s: float,
) -> list[T]:
    """Call *function* for each mount's targets in a thread, or *silent* when that hangs."""
    workers = FileWorkers()

    async def one(mount: str, targets: list[Target]) -> list[T]:
        try:
            return await workers.run(mount, function, targets, deadline_s=deadline_s)
        except TimeoutError:
            return silent(mount)

    groups = _grouped(map(Target.of, sections), lambda target: mounts.of(target.path))
    try:
        found = await asyncio.gather(*(one(*group) for group in groups.items()))
    finally:
        await workers.close(grace_s=0)
    return [each for several in found for each in several]


def check(mounts: Mounts, targets: Iterable[Target]) -> list[AgentError]:
    """Return what is wrong with *targets*. Blocks."""
    problems: list[AgentError] = []
    for path, group in _grouped(targets, lambda target: target.directory).items():
        maker = next((target for target in group if target.create_dirs), group[0])
        found = _problems(path, "creating a file in", mounts, partial(_try_directory, maker))
        for target in group:
            place = partial(_check_place, target, mounts)
            checks = [target.owner_ids] if found else [target.owner_ids, place]
            problems += _problems(target.path, "checking", mounts, *checks)
        problems += found
    return problems


def _grouped(
    targets: Iterable[Target], key: Callable[[Target], str]
) -> defaultdict[str, list[Target]]:
    groups: defaultdict[str, list[Target]] = defaultdict(list)
    for target in targets:
        groups[key(target)].append(target)
    return groups


def _problems(
    path: str, doing: str, mounts: Mounts, *checks: Callable[[], object]
) -> list[PublishError]:
    problems = []
    for check in checks:
        try:
            with translated(path, doing):
                check()
        except PublishError as problem:
            # The kernel's table of mounts tells for sure whether a volume is there.
            if problem.errno in _VOLUME_MISSING and mounts.of(path) == "/":
                problem.hint = f"no volume is mounted there; {problem.hint}"
            problems.append(problem)
    return problems


def _try_directory(target: Target) -> None:
    fd = directory.open_directory(target)
    try:
        _owner_of_new_files(fd, target.name)
    finally:
        os.close(fd)


def _check_place(target: Target, mounts: Mounts) -> None:
    if mounts.is_point(target.path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    with contextlib.suppress(FileNotFoundError):
        directory.check_replaceable(os.lstat(target.path))


def _owner_of_new_files(fd: int, name: str) -> int:
    """Create and remove a file; an access point may have given it another owner than us."""
    temp, probe = directory.create_temp(name, fd)
    try:
        return os.fstat(probe).st_uid
    finally:
        os.close(probe)
        os.unlink(temp, dir_fd=fd)


def sweep(targets: Iterable[Target], *, moment_s: float = MOMENT_S) -> list[str]:
    """Remove what killed writers of *targets* left behind and return the paths. Blocks.

    Only regular files of ours with a temporary name for one of *targets* are touched, and only
    when no living writer, here or in another task, holds them locked. Nothing is raised: a
    leftover that cannot be removed is no reason not to start.
    """
    removed: list[str] = []
    for path, group in _grouped(targets, lambda target: target.directory).items():
        with contextlib.suppress(OSError, ValueError):
            fd = os.open(path, directory.DIRECTORY_FLAGS)
            try:
                removed += [os.path.join(path, name) for name in _sweep(fd, group, moment_s)]
            finally:
                os.close(fd)
    return removed


def _sweep(fd: int, group: list[Target], moment_s: float) -> Iterable[str]:
    ours = {temp_prefix(target.name): target for target in group}
    for name in os.listdir(fd):
        target = ours.get(prefix_of_temp(name) or "")
        if target is not None and _is_dead(name, fd, target, moment_s):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)
                yield name


def _is_dead(name: str, fd: int, target: Target, moment_s: float) -> bool:
    """Whether the writer of temporary file *name* has gone."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return False
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not _is_ours(status, fd, target):
            return False
        # Waited for, not left for the next start: who is restarted at once would keep the last one.
        time.sleep(min(max(status.st_mtime + moment_s - time.time(), 0.0), moment_s))
        # Shared, because the descriptor is for reading and NFS insists; the writer's is exclusive.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except (OSError, PublishError):
        return False
    finally:
        os.close(file)


def _is_ours(status: os.stat_result, fd: int, target: Target) -> bool:
    # A writer that was killed between chown and rename leaves a file of the output's owner.
    return status.st_uid in (
        os.geteuid(),
        target.owner_ids()[0],
    ) or status.st_uid == _owner_of_new_files(fd, target.name)
