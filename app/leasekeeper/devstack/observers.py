"""Those who watch the demo: a customer, a database client, ECS, a reader of the rendered file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import aiohttp
import psycopg
from psycopg.conninfo import conninfo_to_dict

from leasekeeper.devstack.product_api import stamp
from leasekeeper.devstack.waiting import every
from leasekeeper.runtime.clock import now

PERIOD_S = 0.05
RETIRED_PERIOD_S = 0.25
FILE_PERIOD_S = 0.02
HEALTH_PERIOD_S = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user of the database as the rendered file names it."""

    user: str
    dsn: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Credential:
        """Read it from the rendered file.

        :raises OSError, ValueError, KeyError: if the file is not there or not whole.
        """
        dsn = json.loads(path.read_text())["db_connection"]
        try:
            return cls(user=str(conninfo_to_dict(dsn)["user"]), dsn=dsn)
        except psycopg.ProgrammingError:
            # Without the cause: its message quotes the string, password included.
            raise ValueError("db_connection is not a connection string") from None

    async def works(self) -> bool:
        """Whether PostgreSQL lets it in."""
        try:
            connection = await psycopg.AsyncConnection.connect(self.dsn, connect_timeout=5)
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True


@dataclass(slots=True)
class Tally:
    """How often something was tried and how often it failed; *faults* says when and how."""

    tried: int = 0
    faults: list[str] = field(default_factory=list)

    def fail(self, what: str, at: float) -> None:
        """Count a failure."""
        self.faults.append(f"at {at:.1f} s: {what}")


class DatabaseClient:
    """Reads the file and logs in to PostgreSQL with what it says, anew each time."""

    def __init__(self, path: Path, since: float) -> None:
        self.logins = Tally()
        self._path = path
        self._since = since

    async def run(self) -> NoReturn:
        """Go on until cancelled."""
        await every(PERIOD_S, self._log_in)

    async def _log_in(self) -> None:
        self.logins.tried += 1
        try:
            credential = Credential.read(self._path)
        except (OSError, ValueError, KeyError) as error:
            self.logins.fail(f"the file was torn or missing: {error!r}", now() - self._since)
            return
        if not await credential.works():
            self.logins.fail(f"PostgreSQL refused {credential.user}", now() - self._since)


class Customer:
    """Orders from the application all the time."""

    def __init__(self, address: str, since: float) -> None:
        self.requests = Tally()
        self.first_answer: object = None
        self._url = f"{address}/coffees"
        self._since = since

    async def run(self) -> None:
        """Go on until cancelled."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await every(PERIOD_S, lambda: self._order(session))

    async def _order(self, session: aiohttp.ClientSession) -> None:
        self.requests.tried += 1
        try:
            async with session.get(self._url) as answer:
                menu = await answer.json()
                if answer.status != 200 or not menu:
                    self.requests.fail(f"status {answer.status}", now() - self._since)
                elif self.first_answer is None:
                    self.first_answer = menu
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            self.requests.fail(repr(error), now() - self._since)


class HealthChecker:
    """Asks Leasekeeper how it is, as ECS does."""

    def __init__(self, address: str, since: float) -> None:
        self.checks = Tally()
        self._url = f"{address}/health"
        self._since = since

    async def run(self) -> None:
        """Go on until cancelled."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await every(HEALTH_PERIOD_S, lambda: self._check(session))

    async def _check(self, session: aiohttp.ClientSession) -> None:
        self.checks.tried += 1
        try:
            async with session.get(self._url) as answer:
                if answer.status != 200:
                    self.checks.fail(f"/health answered {answer.status}", now() - self._since)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.checks.fail(f"/health: {error!r}", now() - self._since)


class Rotations:
    """Tells of each new credential in the file, and how long the one before still worked."""

    def __init__(self, path: Path, say: Say) -> None:
        self.count = 0
        self.overlaps_s: list[float] = []
        self._path = path
        self._say = say
        self._stamp = stamp(path)
        self._current = Credential.read(path)

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(FILE_PERIOD_S)
                if (old := self._look()) is not None:
                    group.create_task(self._follow(self.count, old))

    def _look(self) -> Credential | None:
        """Return the credential that has just been replaced, or None."""
        try:
            if (seen := stamp(self._path)) == self._stamp:
                return None
            new = Credential.read(self._path)
        except (OSError, ValueError, KeyError):
            return None  # `DatabaseClient` counts it.
        self._stamp = seen
        if new == self._current:
            return None
        old, self._current = self._current, new
        self.count += 1
        self._say(f"rotation {self.count}: {old.user} -> {new.user}")
        return old

    async def _follow(self, number: int, old: Credential) -> None:
        since = now()
        overlap_s = 0.0
        while await old.works():
            overlap_s = now() - since
            await asyncio.sleep(RETIRED_PERIOD_S)
        self.overlaps_s.append(overlap_s)
        self._say(f"rotation {number}: the old credential worked for another {overlap_s:.1f} s")
