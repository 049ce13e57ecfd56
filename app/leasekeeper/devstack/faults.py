"""What a test can make go wrong between a program and OpenBao."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "delay", "drop", "drop_answer", "hang"]


@dataclass(kw_only=True, eq=False)
class Fault:
    """Something that befalls the next *times* requests to paths that start with *path*.

    ===============  ==========================================================================
    ``status``       answered with *status*, *errors* and *headers*; OpenBao never sees it
    ``delay``        passed on after *seconds*
    ``drop``         the connection is reset at once; OpenBao never sees the request
    ``drop_answer``  OpenBao answers, and the connection is reset instead of delivering that
    ``hang``         taken and never answered, until the fault is removed; then reset
    ===============  ==========================================================================

    *times* None is until it is removed; *method* None is any; *path* begins with `/v1/` and has
    no query. *befallen* counts the requests it has met.
    """

    kind: Kind
    path: str = "/v1/"
    method: str | None = None
    times: int | None = 1
    status: int = 503
    errors: tuple[str, ...] = ("injected by the local world",)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    befallen: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def meets(self, method: str, path: str) -> bool:
        """Whether a request is to be befallen."""
        open_ = self.times is None or self.befallen < self.times
        return open_ and path.startswith(self.path) and self.method in (None, method)


class Faults:
    """The faults that are switched on; the one that was added last is asked first."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Switch *fault* on and return it."""
        self._active.insert(0, fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Switch *fault* off; requests that hang because of it are reset."""
        fault.removed.set()
        if fault in self._active:
            self._active.remove(fault)

    def clear(self) -> None:
        """Switch every fault off."""
        for fault in tuple(self._active):
            self.remove(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that befalls a request, counted, or None."""
        for fault in self._active:
            if fault.meets(method, path):
                fault.befallen += 1
                return fault
        return None
