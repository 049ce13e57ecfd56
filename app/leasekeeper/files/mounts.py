"""Which mount a path lies on, told by the kernel's table.

The file system itself is never asked: on a network file system that hangs, `stat` hangs too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TABLE = "/proc/self/mountinfo"
_MOUNT_POINT_FIELD = 4  # proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, ...
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounts:
    """The mount points of this process, longest first."""

    points: tuple[str, ...] = ("/",)

    @classmethod
    def current(cls) -> Mounts:
        """Read the kernel's table; without one everything counts as one mount."""
        try:
            with open(_TABLE, encoding="utf-8", errors="surrogateescape") as table:
                lines = table.read().splitlines()
        except OSError:
            return cls()
        points = {_unescaped(line.split(" ")[_MOUNT_POINT_FIELD]) for line in lines if line}
        return cls(tuple(sorted(points | {"/"}, key=len, reverse=True)))

    def of(self, path: str) -> str:
        """Return the mount point above *path*, by its name: symbolic links are not followed."""
        return next((point for point in self.points if path.startswith(point + "/")), "/")

    def is_point(self, path: str) -> bool:
        """Whether something is mounted at *path* itself."""
        return path in self.points


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
