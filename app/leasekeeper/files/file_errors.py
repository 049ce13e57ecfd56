"""What the file system refused, in words that say how to mend it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from leasekeeper.errors import PublishError

_HINTS = {
    errno.EACCES: "the directory must be writable and searchable for the user that Leasekeeper"
    " runs as (uid {uid})",
    errno.EAGAIN: "another task is writing there at the moment",
    errno.EBUSY: "something is mounted at the file itself: mount its directory instead",
    errno.EDQUOT: "the quota of the volume is used up",
    errno.EFBIG: "the content is larger than the file system or `ulimit -f` allows",
    errno.EINVAL: "the path holds characters that no file name can have",
    errno.EIO: "the volume or its server fails; an EFS volume must be reachable over port 2049",
    errno.EISDIR: "a directory has this name: remove it, or choose another destination",
    errno.ELOOP: "a directory in the path is a symbolic link to itself",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.ENAMETOOLONG: "a name in the path is longer than the file system allows",
    errno.ENOENT: "create the directory, mount the volume, or set create_dest_dirs: true",
    errno.ENOSPC: "there is no space, or no inode, left on the volume",
    errno.ENOTDIR: "a part of the path that should be a directory is a file",
    errno.EPERM: "the file or its directory is immutable, or a security policy forbids the change",
    errno.EROFS: "mount the volume writable (readOnly: false)",
    errno.ESTALE: "the directory was removed or replaced on the server",
    errno.ETIMEDOUT: "the file system does not answer: can the volume's mount target be reached?",
    errno.ENXIO: "a device has this name: choose another destination",
}

_CODES = {
    errno.EACCES: "LK-FILE-001",
    errno.ENOENT: "LK-FILE-002",
    errno.ENOSPC: "LK-FILE-003",
    errno.EDQUOT: "LK-FILE-003",
    errno.EROFS: "LK-FILE-004",
    errno.EIO: "LK-FILE-005",
    errno.ESTALE: "LK-FILE-005",
    errno.ETIMEDOUT: "LK-FILE-005",
    errno.EPERM: "LK-FILE-007",
    errno.EBUSY: "LK-FILE-009",
    errno.EISDIR: "LK-FILE-009",
    errno.ENOTDIR: "LK-FILE-009",
    errno.ENXIO: "LK-FILE-009",
}

OWNER_HINT = (
    "changing owners needs CAP_CHOWN, and an EFS access point enforces its own: run as that user,"
    " add the capability, or leave user and group out"
)


def publish_error(path: str, doing: str, number: int, *, hint: str | None = None) -> PublishError:
    """Return the error for *number*, met while *doing* something to *path*."""
    if hint is None and number in _HINTS:
        hint = _HINTS[number].format(uid=os.geteuid())
    message = f"{doing} {path}: {os.strerror(number)}"
    error = PublishError(message, path=path, errno=number, hint=hint)
    error.code = _CODES.get(number, error.code)
    return error


@contextlib.contextmanager
def translated(path: str, doing: str) -> Iterator[None]:
    """Turn what the operating system raises inside into a `PublishError`."""
    try:
        yield
    except OSError as error:
        raise publish_error(path, doing, error.errno or errno.EIO) from error
    except ValueError as error:  # a NUL or half a surrogate pair in the path
        raise publish_error(path, doing, errno.EINVAL) from error
