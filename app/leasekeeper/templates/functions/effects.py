"""What templates do besides rendering: writeToFile and plugin, and the debug prints that do not.

A render has no side effects. What a template wants done is recorded, and done by whoever asked
for the render, once the text is complete.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leasekeeper.errors import PublishError, Unwritable
from leasekeeper.templates.functions.texts import trim_space
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import parse_int, parse_uint
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import encode

if TYPE_CHECKING:
    from leasekeeper.templates.golang.machine import Run

functions = FunctionTable()

_NOT_MENDED_BY_TIME = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEffect:
    """A file that a template wants written.

    *where* is the place in the template. *user* and *group* are numbers, None leaves them as they
    are. *append* adds to what is there; otherwise the file is replaced at once, and a reader sees
    the old or the new one.
    """

    path: str
    where: str
    content: bytes = field(repr=False)
    mode: int
    user: int | None = None
    group: int | None = None
    append: bool = False

    def apply(self) -> None:
        """Write the file. This blocks: call it in a worker thread.

        :raises PublishError: if the file system refuses.
        """
        try:
            self._append() if self.append else self._replace()
        except OSError as error:
            why = (error.strerror or "error").lower()
            msg = f"{self.where}: error calling writeToFile: open {self.path}: {why}"
            kind = Unwritable if error.errno in _NOT_MENDED_BY_TIME else PublishError
            raise kind(msg, path=self.path, errno=error.errno) from None

    def _append(self) -> None:
        flags = os.O_APPEND | os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._write(os.open(self.path, flags, 0o600))

    def _replace(self) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._write(os.open(temporary, flags, 0o600))
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _write(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(self.content)
            stream.flush()
            if self.user is not None or self.group is not None:
                user = -1 if self.user is None else self.user
                os.fchown(descriptor, user, -1 if self.group is None else self.group)
            os.fchmod(descriptor, self.mode)
            os.fsync(descriptor)


@functions.add("writeToFile", "string", "string", "string", "string", "...string", run=True)
def write_to_file(run: Run, path: str, user: str, group: str, mode: str, *rest: str) -> str:
    """Have the last argument written to *path*; before it may stand ``append,newline``."""
    if not rest:
        msg = "runtime error: index out of range [-1]"
        raise GoError(msg)
    flags = rest[0] if len(rest) == 2 else ""
    content = encode(rest[-1]) + (b"\n" if "newline" in flags else b"")
    effect = FileEffect(
        path=path,
        where=run.where(),
        content=content,
        mode=parse_uint(mode, 8, 32) & 0o7777,
        user=_number_of(user, lambda name: pwd.getpwnam(name).pw_uid, "user"),
        group=_number_of(group, lambda name: grp.getgrnam(name).gr_gid, "group"),
        append="append" in flags,
    )
    run.effects.append(effect)
    return ""


def _number_of(name: str, look_up: Callable[[str], int], what: str) -> int | None:
    if not name:
        return None
    try:
        return look_up(name)
    except KeyError:
        pass
    try:
        return parse_int(name)
    except GoError:
        msg = f"{what}: unknown {what} {name}"
        raise GoError(msg) from None


@functions.add("plugin", "string", "...string", run=True)
def plugin(run: Run, name: str, *arguments: str) -> str:
    """Return what a program prints. Only in Vault Agent's dialect, and it runs in every pass."""
    if not name:
        return ""
    if run.pauses or run.context.program is None:
        msg = f"exec {quote(name)}: templates do not run programs here"
        raise GoError(msg)
    kept = [argument.strip() for argument in arguments]
    with run.waiting():
        printed = run.context.program((name, *(argument for argument in kept if argument)))
    return trim_space(printed)


@functions.add("spew_dump", "...interface {}")
def spew_dump(*_values: Any) -> str:
    """Return nothing. Vault Agent prints the values on its standard output, secrets and all."""
    return ""


@functions.add("spew_printf", "string", "...interface {}")
def spew_printf(_template: str, *_values: Any) -> str:
    """Return nothing, as `spew_dump` does."""
    return ""
