"""What OpenBao's audit log and PostgreSQL know of a subject, whatever it says of itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from leasekeeper.devstack.openbao import OpenBao
from leasekeeper.devstack.postgres import Postgres

ROLES_PERIOD_S = 0.25
# Long enough after a moment for it not to be a matter of when somebody looked.
SURELY_S = 1.0


@dataclass(slots=True)
class User:
    """A database user that OpenBao made; times are of `time.monotonic`."""

    first_seen: float
    last_seen: float
    valid_until: float


@dataclass(slots=True)
class DatabaseUsers:
    """Looks at `pg_roles` all the time; `seen` holds every user there ever was."""

    postgres: Postgres
    seen: dict[str, User] = field(default_factory=dict)

    async def watch(self) -> NoReturn:
        """Look four times a second. Never returns."""
        while True:
            await self.look()
            await asyncio.sleep(ROLES_PERIOD_S)

    async def look(self) -> None:
        """Look once."""
        at = time.monotonic()
        shift = at - time.time()
        rows = await self.postgres.query(
            "SELECT rolname, extract(epoch FROM rolvaliduntil)::float8 FROM pg_roles"
            " WHERE rolname LIKE 'v-%' AND rolvaliduntil IS NOT NULL"
        )
        for name, until in rows:
            user = self.seen.setdefault(name, User(at, at, 0.0))
            user.last_seen, user.valid_until = at, until + shift

    def works(self, name: str, at: float) -> bool:
        """Whether PostgreSQL had that user at *at* and for a while after, not yet ended."""
        user = self.seen.get(name)
        return user is not None and min(user.last_seen, user.valid_until) > at + SURELY_S

    def of(self, lane: str) -> dict[str, User]:
        """Return the users of one lane."""
        return {name: user for name, user in self.seen.items() if f"-{lane}-" in name}


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts what OpenBao has answered to one lane, told by the name of its policy."""

    openbao: OpenBao
    lane: str

    def _entries(self, begin: int) -> Iterator[dict[str, Any]]:
        mark = f'"{self.lane}"'.encode()
        with self.openbao.audit_log.open("rb") as log:
            log.seek(begin)
            for line in log:
                if mark in line and line.endswith(b"\n"):
                    entry = json.loads(line)
                    if entry["type"] == "response" and not entry.get("error"):
                        yield entry

    def now(self) -> int:
        """Return a mark: the place that the log has come to."""
        return self.openbao.audit_log.stat().st_size

    def mints(self, path: str, *, since: int = 0) -> int:
        """Return how many leases were made at *path* since a mark."""
        return sum(entry["request"]["path"] == path for entry in self._entries(since))

    def logins(self, *, since: int = 0) -> int:
        """Return how many tokens were made since a mark."""
        return sum(entry["request"]["path"].endswith("/login") for entry in self._entries(since))

    def requests(self, *, since: int = 0) -> int:
        """Return how many requests were answered well since a mark."""
        return sum(1 for _ in self._entries(since))
