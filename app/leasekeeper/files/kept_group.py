"""Several files that are put in place together, and kept as they were put."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.generations import (
    GenerationSwitch,
    Member,
    is_as_switched,
    remove_generations,
    remove_switched,
    superseded,
)
from leasekeeper.files.kept import Kept, Published
from leasekeeper.files.target import Target
from leasekeeper.runtime.clock import due, now


class KeptGroup(Kept[tuple[bytes, ...]]):
    """The files *targets* behind *link*; their content comes in the same order.

    What the link showed before stays *keep_s* seconds for whoever is still reading it.
    """

    def __init__(
        self,
        link: str,
        targets: Sequence[Target],
        *,
        keep_s: float,
        workers: FileWorkers,
        mount: str,
        deadline_s: float,
        fence: Fence = no_fence,
        **fields: object,
    ) -> None:
        super().__init__(link, workers=workers, mount=mount, deadline_s=deadline_s, **fields)
        self._targets = targets
        self._keep_s = keep_s
        self._fence = fence
        self._old: dict[str, float] = {}

    async def remove_old(self) -> float:
        """Remove what has been kept long enough; return the loop time of the next such moment.

        ``math.inf`` when nothing is kept. What an earlier process left behind counts from when it
        is seen first.

        :raises OutputError: if the file system refuses or hangs.
        """
        names = await self._in_thread("looking at", superseded, self._path)
        self._old = {name: self._old.get(name, now() + self._keep_s) for name in names}
        ended = [name for name, end in self._old.items() if due(end)]
        if ended:
            doing = "removing old generations of"
            await self._in_thread(doing, remove_generations, self._path, ended)
        return min((end for name, end in self._old.items() if name not in ended), default=math.inf)

    def _attempt(self, content: tuple[bytes, ...]) -> GenerationSwitch:
        pairs = zip(self._targets, content, strict=True)
        members = [Member(target=target, content=data) for target, data in pairs]
        return GenerationSwitch(self._path, members, fence=self._fence)

    def _looks_good(self, fingerprint: Any) -> bool:
        return is_as_switched(self._path, [target.name for target in self._targets], fingerprint)

    def _take_away(self, fingerprint: Any) -> bool:
        return remove_switched(self._path, fingerprint)

    def _note(self, found: Published, *, restored: bool) -> None:
        super()._note(found, restored=restored)
        self._old.pop(found.fingerprint[0], None)
