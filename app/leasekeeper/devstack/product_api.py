"""The tutorial's application in miniature: `/coffees` from PostgreSQL with rendered credentials.

Run it with ``CONFIG_FILE=/config/conf.json python -m leasekeeper.devstack product-api``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import psycopg
from aiohttp import web

from leasekeeper.devstack.errors import DevstackError
from leasekeeper.devstack.waiting import until
from leasekeeper.runtime.tasks import Nursery

POLL_S = 0.05
IDLE_CONNECTIONS = 4
MENU = """
SELECT id, name, teaser, description, price, image,
  ARRAY(SELECT ingredient_id FROM coffee_ingredients WHERE coffee_id = id ORDER BY 1)
FROM coffees ORDER BY id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What `conf.json` says; *stamp* tells one version of the file from another."""

    dsn: str
    host: str
    port: int
    stamp: tuple[int, int]

    @classmethod
    def read(cls, path: Path) -> Configuration:
        """Read the file.

        :raises OSError: if it cannot be read.
        :raises ValueError, KeyError: if it is not whole.
        """
        with path.open() as file:
            content = json.load(file)
            host, _, port = content["bind_address"].rpartition(":")
            return cls(
                dsn=content["db_connection"],
                host=host or "127.0.0.1",
                port=int(port),
                stamp=stamp(path),
            )


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file is replaced or rewritten."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


class Database:
    """A few idle connections, all of the newest credentials.

    A connection that fails is closed and never used again, and a query that fails on a kept
    connection is tried once more on a new one: credentials that have ended leave nothing dead.
    """

    def __init__(self) -> None:
        self._dsn = ""
        self._idle: list[psycopg.AsyncConnection[Any]] = []

    async def use(self, dsn: str) -> None:
        """Open new connections with *dsn* from now on; idle ones of before are closed."""
        old, self._idle, self._dsn = self._idle, [], dsn
        for connection in old:
            await connection.close()

    async def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows.

        :raises psycopg.Error: if it fails on a new connection.
        """
        while self._idle:
            try:
                return await self._run(self._idle.pop(), self._dsn, statement)
            except psycopg.Error:
                continue
        dsn = self._dsn
        return await self._run(await psycopg.AsyncConnection.connect(dsn), dsn, statement)

    async def _run(
        self, connection: psycopg.AsyncConnection[Any], dsn: str, statement: str
    ) -> list[tuple[Any, ...]]:
        async with self._kept(connection, dsn), connection.cursor() as cursor:
            await cursor.execute(statement.encode())
            return await cursor.fetchall()

    @asynccontextmanager
    async def _kept(
        self, connection: psycopg.AsyncConnection[Any], dsn: str
    ) -> AsyncIterator[None]:
        try:
            await connection.set_autocommit(True)
            yield
        except BaseException:
            await connection.close()
            raise
        if dsn == self._dsn and len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            await connection.close()


class ProductApi:
    """Serves `/coffees` and `/health`, and reloads its file by itself or on ``POST /-/reload``.

    Use it as an async context manager; entering waits until the file exists. `requests` and
    `failures` count `/coffees`; `reloads` and `broken_reads` count what was made of the file.
    """

    def __init__(self, config_file: Path) -> None:
        self.config_file = config_file
        self.address = ""
        self.requests = 0
        self.failures = 0
        self.reloads = 0
        self.broken_reads = 0
        self._database = Database()
        self._stamp: tuple[int, int] | None = None
        self._runner: web.AppRunner | None = None
        self._tasks = Nursery(_crash)

    async def __aenter__(self) -> Self:
        await until(self.config_file.exists, period_s=POLL_S)
        configuration = await self.reload()
        app = web.Application()
        app.router.add_get("/coffees", self._coffees)
        app.router.add_get("/health", self._health)
        app.router.add_post("/-/reload", self._reload)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, configuration.host, configuration.port).start()
        self.address = "http://{}:{}".format(*self._runner.addresses[0][:2])
        self._tasks.start("watch the configuration", self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._tasks.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._database.use("")

    async def reload(self) -> Configuration:
        """Read the file and use its credentials from now on.

        :raises OSError, ValueError, KeyError: if it cannot be read; the old ones stay in use.
        """
        try:
            configuration = Configuration.read(self.config_file)
        except (OSError, ValueError, KeyError):
            self.broken_reads += 1
            raise
        self._stamp = configuration.stamp
        self.reloads += 1
        await self._database.use(configuration.dsn)
        return configuration

    async def _watch(self) -> NoReturn:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                if stamp(self.config_file) != self._stamp:
                    await self.reload()
            except (OSError, ValueError, KeyError):
                continue

    async def _coffees(self, _request: web.Request) -> web.Response:
        self.requests += 1
        try:
            rows = await self._database.query(MENU)
        except psycopg.Error as error:
            self.failures += 1
            # The class alone: PostgreSQL's message names the user.
            return web.json_response({"error": type(error).__name__}, status=500)
        return web.json_response([_coffee(*row) for row in rows])

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _reload(self, _request: web.Request) -> web.Response:
        try:
            await self.reload()
        except (OSError, ValueError, KeyError) as error:
            return web.json_response({"error": type(error).__name__}, status=500)
        return web.Response(status=204)


def _coffee(
    number: int, name: str, teaser: str, description: str, price: int, image: str, items: list[int]
) -> dict[str, object]:
    return {
        "id": number,
        "name": name,
        "teaser": teaser,
        "description": description,
        "price": price,
        "image": image,
        "ingredients": [{"ingredient_id": item} for item in items],
    }


def _crash(name: str, error: BaseException) -> None:
    raise DevstackError(f"product-api cannot go on: {name} failed: {error!r}") from error
