"""Which mount a path lies on, told by the kernel's table.

The file system itself is never asked: on a network file system that hangs, `stat` hangs too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_TABLE = "/proc/self/mountinfo"
_MOUNT_POINT_FIELD = 4  # proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, ...
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounts:
    """The mount points of this process."""

    points: frozenset[str] = frozenset({"/"})

    @classmethod
    def current(cls) -> Mounts:
        """Read the kernel's table; without one everything counts as one mount."""
        try:
            with open(_TABLE, encoding="utf-8", errors="surrogateescape") as table:
                lines = table.read().splitlines()
        except OSError:
            return cls()
        return cls(
            frozenset(_unescaped(line.split(" ")[_MOUNT_POINT_FIELD]) for line in lines if line)
        )

    def of(self, path: str) -> str:
        """Return the mount point above *path*, by its name: symbolic links are not followed."""
        above = os.path.dirname(path)
        while above not in self.points:
            below, above = above, os.path.dirname(above)
            if above == below:
                return "/"
        return above

    def is_point(self, path: str) -> bool:
        """Whether something is mounted at *path* itself."""
        return path in self.points


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
