"""Where a published file goes, what it should look like, and what its temporary names are."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import secrets
from dataclasses import dataclass, replace

from leasekeeper.errors import PublishError
from leasekeeper.settings.fields import KEEP
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import OutputSection
from leasekeeper.settings.sinks import SinkSection

NAME_MAX = 255  # bytes; ext4, XFS and NFS (EFS) agree
_TEMP_EXTRA = len("..0123456789abcdef.tmp")
_TEMP_NAME = re.compile(r"(\..+\.)[0-9a-f]{16}\.tmp", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A destination. *user* and *group* are names or numbers; None leaves them to the system.

    A *mode* of None is that of the file that is there, or 0644 for a new one. With *backup* the
    file before stays as ``<path>.bak``.
    """

    path: str
    mode: int | None = 0o640
    user: str | int | None = None
    group: str | int | None = None
    create_dirs: bool = True
    backup: bool = False

    @classmethod
    def of(cls, section: OutputSection | SinkSection | GroupSection) -> Target:
        """Return the target that *section* describes."""
        if isinstance(section, GroupSection):
            return cls(path=section.link)
        if isinstance(section, SinkSection):
            return cls(path=section.path, mode=section.mode, user=section.user, group=section.group)
        return cls(
            path=section.destination,
            mode=None if section.mode == KEEP else section.mode,
            user=section.user,
            group=section.group,
            create_dirs=section.create_dest_dirs,
            backup=section.backup,
        )

    @property
    def directory(self) -> str:
        """The directory of the file."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        """The file's name in its directory."""
        return os.path.basename(self.path)

    def moved_to(self, directory: str) -> Target:
        """Return the same file in another directory, which is not made if it is missing."""
        path = os.path.join(directory, self.name)
        return replace(self, path=path, create_dirs=False, backup=False)

    def owner_ids(self) -> tuple[int, int]:
        """Look up user and group; -1 is for one that is left alone. May block.

        :raises PublishError: if the system knows no such user or group.
        """
        return _uid(self), _gid(self)


def _uid(target: Target) -> int:
    if (number := _number(target.user)) is not None:
        return number
    try:
        return pwd.getpwnam(str(target.user)).pw_uid
    except KeyError:
        raise _unknown(target, "user", target.user) from None


def _gid(target: Target) -> int:
    if (number := _number(target.group)) is not None:
        return number
    try:
        return grp.getgrnam(str(target.group)).gr_gid
    except KeyError:
        raise _unknown(target, "group", target.group) from None


def _number(name: str | int | None) -> int | None:
    if name is None:
        return -1
    if isinstance(name, int):
        return name
    return int(name) if name.isascii() and name.isdigit() else None


def _unknown(target: Target, what: str, name: str | int | None) -> PublishError:
    return PublishError(
        f"the {what} {name!r} of {target.path} does not exist here",
        path=target.path,
        hint=f"names of other containers are unknown in this one: use the number of the {what}",
    )


def temp_prefix(name: str) -> str:
    """Return what every temporary name for a file called *name* starts with."""
    raw = os.fsencode(name)
    if len(raw) + _TEMP_EXTRA > NAME_MAX:
        name = hashlib.sha256(raw).hexdigest()
    return f".{name}."


def temp_name(name: str) -> str:
    """Return a new temporary name for a file called *name*: ``.name.<16 hex digits>.tmp``."""
    return f"{temp_prefix(name)}{secrets.token_hex(8)}.tmp"


def prefix_of_temp(candidate: str) -> str | None:
    """Return the `temp_prefix` that *candidate* has, or None if it is no temporary name."""
    match = _TEMP_NAME.fullmatch(candidate)
    return match[1] if match else None
