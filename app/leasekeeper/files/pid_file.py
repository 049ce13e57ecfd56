"""The file with our process id, for whoever wants to send signals."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from leasekeeper.files.file_errors import translated

_MODE = 0o644


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Write our process id to *path*, and remove it in the end unless it is another's by then.

    A file that is there already is overwritten: in a container its process is gone.

    :raises PublishError: if it cannot be written.
    """
    if path is None:
        yield
        return
    content = f"{os.getpid()}".encode()
    with translated(path, "writing the process id to"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(path, flags, _MODE)
        try:
            os.write(file, content)
        finally:
            os.close(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _remove(path, content)


def _remove(path: str, content: bytes) -> None:
    with open(path, "rb") as file:
        found = file.read(len(content) + 1)
    if found.strip() == content:
        os.unlink(path)
