"""The section of groups: outputs that change together."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from leasekeeper.settings.durations import Duration
from leasekeeper.settings.fields import Destination, Section, Text
from leasekeeper.settings.notify import Notify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class GroupSection(Section):
    """Outputs whose files change together, by one switch of a symbolic link."""

    link: Destination
    """Absolute path of the symbolic link to the folder with the present files. Every output whose
    destination lies in it is one of the group; the application reads the files through it."""
    name: Text | None = None
    """Name in the log. Default: the link."""
    keep: Duration = 90.0
    """How long the files that were there before stay for whoever is still reading them. A minute is
    what a client of a network file system may remember."""
    notify: Notify | None = None
    """How to tell the application, once for all files. The outputs' own `notify` works too."""

    @property
    def label(self) -> str:
        """The group's name in the log."""
        return self.name or self.link

    @property
    def destination(self) -> str:
        """What changes for a reader: the link."""
        return self.link

    def holds(self, path: str) -> bool:
        """Whether the file at *path* is one of this group."""
        return posixpath.dirname(path) == self.link


def clashes(
    links: Sequence[object], outputs: Sequence[object], sinks: Sequence[object]
) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with groups: which one, and why. What is not text is skipped."""
    files = [posixpath.normpath(path) for path in outputs if isinstance(path, str)]
    others = [posixpath.normpath(path) for path in sinks if isinstance(path, str)]
    known: list[str] = []
    for index, written in enumerate(links):
        if not isinstance(written, str):
            continue
        link = posixpath.normpath(written)
        below = f"{link}/"
        inside = [path for path in files if path.startswith(below)]
        if not inside:
            yield index, "no output has a destination in it"
        if any(posixpath.dirname(path) != link for path in inside):
            yield index, "the outputs of a group lie directly in its link, not deeper"
        taken = [*others, *known]
        if link in taken or any(path.startswith(below) for path in taken):
            yield index, "a sink or another group has this place, or lies in it"
        if any(link == path or link.startswith(f"{path}/") for path in [*files, *known]):
            yield index, "an output or another group has this place, or holds it"
        known.append(link)
