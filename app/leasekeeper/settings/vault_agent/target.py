"""The draft that is being filled, and how values get into it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leasekeeper.settings.draft import Draft, Origin, Path

if TYPE_CHECKING:
    from leasekeeper.settings.environment import Variables
    from leasekeeper.settings.vault_agent.stanzas import Notes, Written

AGENT_DEFAULT = Origin("Vault Agent's default")


@dataclass(frozen=True, slots=True)
class Target:
    """Where what Vault Agent's keys mean is put."""

    draft: Draft
    variables: Variables
    notes: Notes

    def put(self, path: Path, value: object, origin: Origin) -> None:
        """Set *value* at *path*; seconds become a duration.

        Unlike the draft's own `put` it does not look for what was written below the path before,
        so that two thousand outputs take no time.
        """
        here: Any = self.draft.values
        for end, below in enumerate(path[1:], 1):
            here = _entered(here, path[end - 1], [] if isinstance(below, int) else {})
            self.draft.origins.setdefault(path[:end], origin)
        value = _written_duration(value) if isinstance(value, float) else value
        if isinstance(here, list) and path[-1] == len(here):
            here.append(value)
        else:
            here[path[-1]] = value
        self.draft.remember(path, value, origin)

    def put_plain(self, written: Written, base: Path = (), *, but: tuple[str, ...] = ()) -> None:
        """Put every value of *written* where its key says, below *base*, if that is given."""
        for name, given in written.values.items():
            to = written.schema.keys[name].to
            if not to or name in but:
                continue
            path = _below(base, to)
            if given.value is None:
                self.notes.problems.settle(path)
            elif given.value or isinstance(given.value, bool):  # numbers of 0 mean the default
                self.put(path, given.value, given.origin)

    def put_absolute(self, written: Written, key: str, base: Path) -> None:
        """Put a path of the agent's, which may be relative to where it runs, as an absolute one."""
        value, origin = written.text(key), written.origin_of(key)
        path = _below(base, written.schema.keys[key].to)
        if value and not value.startswith("/"):
            try:
                value = f"{os.getcwd().rstrip('/')}/{value}"
            except OSError:
                text = "needs an absolute path: the working directory is gone"
                self.notes.problems.add(origin, text, path)
                return
        if value:
            self.put(path, value, origin)
        elif key in written.values:
            self.notes.problems.settle(path)

    def settle(self, section: str, text: str) -> None:
        """Say that *section* is missing, unless more has been said about why."""
        if self.draft.get((section,)) is None:
            if not self.notes.problems:
                self.notes.problems.add(self.draft.root, text)
            self.notes.problems.settle((section,))


def _below(base: Path, to: str) -> Path:
    """Return the path that *to* means in the item *base* of a list: *to* has no numbers."""
    names = sum(isinstance(part, str) for part in base)
    return (*base, *to.split(".")[names:])


def _entered(here: Any, part: str | int, empty: Any) -> Any:
    """Return what is in *here* at *part*; *empty*, if nothing is there yet."""
    if not isinstance(here, list):
        return here.setdefault(part, empty)
    if part == len(here):
        here.append(empty)
    return here[int(part)]


def _written_duration(seconds: float) -> str:
    """Return *seconds* as a duration, to the nanosecond."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
