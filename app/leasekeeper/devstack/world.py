"""The whole local world, started and ended as one."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from leasekeeper.devstack.admin import Admin
from leasekeeper.devstack.ecs import EcsEndpoint
from leasekeeper.devstack.errors import DevstackError
from leasekeeper.devstack.gateway import Gateway
from leasekeeper.devstack.logins import IamLogins
from leasekeeper.devstack.openbao import OpenBao
from leasekeeper.devstack.postgres import Postgres
from leasekeeper.devstack.processes import Processes, free_port
from leasekeeper.devstack.product_setup import (
    AUTH_MOUNT,
    DATABASE,
    POLICY,
    ROLE,
    STATIC_ROLE,
    DatabaseRules,
    ProductSetup,
    TokenRules,
)
from leasekeeper.devstack.sts import Sts


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """What can be chosen about a world. Ports: 0 is any free one. Times are in seconds."""

    role: str = "learn-product-api"
    """Name of the Vault role and of the IAM role that is bound to it."""
    tokens: TokenRules = field(default_factory=TokenRules)
    database: DatabaseRules = field(default_factory=DatabaseRules)
    server_id: str | None = None
    """Value that Vault wants in the signed header X-Vault-AWS-IAM-Server-ID; None asks for none."""
    region: str = "us-east-1"
    namespace: str = ""
    """OpenBao namespace that holds everything, as on HCP (`admin`)."""
    task_credentials_ttl_s: float = 3600.0
    durable: bool = False
    """Keep OpenBao's data on disk, so that it can be restarted; starts a second later."""
    gateway_port: int = 0
    openbao_port: int = 0
    postgres_port: int = 0
    sts_port: int = 0
    ecs_port: int = 0
    ecs_host: str = "127.0.0.1"
    """Address of the ECS endpoints; 169.254.170.2 is ECS's own, where the machine has it."""
    task_id: str = ""
    """The task's id; empty is a random one."""
    directory: Path | None = None
    """Where the temporary directories are made; None is the system's place."""


@dataclass(frozen=True, slots=True)
class _Directories:
    main: Path
    postgres: Path

    @classmethod
    def make(cls, parent: Path | None) -> _Directories:
        """Make both with mode 0700.

        PostgreSQL's is apart: under root it belongs to another user, who must not see ours.
        """
        names = ("leasekeeper-world-", "leasekeeper-postgres-")
        return cls(*(Path(tempfile.mkdtemp(prefix=name, dir=parent)) for name in names))

    def remove(self) -> None:
        for directory in (self.main, self.postgres):
            shutil.rmtree(directory, ignore_errors=True)


class World:
    """OpenBao, PostgreSQL, STS, the ECS endpoints and the gateway, with the tutorial's set-up.

    Use it as ``async with World(settings) as world``. Everything listens on 127.0.0.1 and
    writes below two temporary directories with mode 0700, which go when the world ends. Its
    parts are attributes: `gateway`, `openbao`, `postgres`, `sts`, `ecs`; `admin` is a client with
    the root token in the world's namespace.

    :raises DevstackError: on entering, if a part is not installed or does not start.
    """

    gateway: Gateway
    openbao: OpenBao
    postgres: Postgres
    sts: Sts
    ecs: EcsEndpoint
    admin: Admin
    directory: Path

    def __init__(self, settings: WorldSettings | None = None) -> None:
        self.settings = settings or WorldSettings()
        self.id = secrets.token_hex(8)
        self.processes = Processes(self.id)
        self._setup: ProductSetup
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except* DevstackError as group:
            await self._stack.aclose()
            raise _first(group) from None
        except* BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        directories = _Directories.make(self.settings.directory)
        self._stack.callback(directories.remove)
        self.directory = directories.main
        self.processes.open(directories.main, directories.postgres)
        self._stack.push_async_callback(self.processes.close)
        self._build(directories)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.openbao.start(cluster_port=free_port()))
            group.create_task(self.postgres.start())
            group.create_task(self._start_aws())
        await self._set_up()

    def _build(self, directories: _Directories) -> None:
        chosen = self.settings
        openbao_port = chosen.openbao_port or free_port()
        self.openbao = OpenBao(
            self.processes, directories.main, port=openbao_port, durable=chosen.durable
        )
        self._stack.push_async_callback(self.openbao.close)
        postgres_port = chosen.postgres_port or free_port()
        self.postgres = Postgres(self.processes, directories.postgres, port=postgres_port)
        self._stack.push_async_callback(self.postgres.close)
        sts_port = chosen.sts_port or free_port()
        self.sts = Sts(self.processes, directories.main, port=sts_port, region=chosen.region)
        self._stack.push_async_callback(self.sts.close)
        self.ecs = EcsEndpoint(
            self.sts,
            role=chosen.role,
            ttl_s=chosen.task_credentials_ttl_s,
            directory=directories.main,
            task_id=chosen.task_id,
        )
        self._stack.push_async_callback(self.ecs.close)

    async def _start_aws(self) -> None:
        await self.sts.start()
        await self.sts.create_role(self.settings.role)
        await self.ecs.start(self.settings.ecs_port, host=self.settings.ecs_host)

    async def _set_up(self) -> None:
        chosen = self.settings
        self.admin = Admin(
            self.openbao.address, token=self.openbao.root_token, namespace=chosen.namespace
        )
        self._stack.push_async_callback(self.admin.close)
        self._setup = ProductSetup(
            self.admin, self.postgres, database=chosen.database, tokens=chosen.tokens
        )
        await self._setup.fill_database()
        await self._setup.fill_openbao()
        logins = IamLogins(self.openbao.admin, self.sts, server_id=chosen.server_id)
        self.gateway = Gateway(self.openbao.address, logins, mount=AUTH_MOUNT)
        self._stack.push_async_callback(self.gateway.close)
        await self.gateway.start(chosen.gateway_port)
        await self.bind_role(chosen.role)

    @property
    def address(self) -> str:
        """The Vault address for programs: the gateway's."""
        return self.gateway.address

    @property
    def creds_path(self) -> str:
        """Path of the dynamic database credentials."""
        return f"{self.settings.database.mount}/creds/{ROLE}"

    @property
    def static_creds_path(self) -> str:
        """Path of the static database role's credentials."""
        return f"{self.settings.database.mount}/static-creds/{STATIC_ROLE}"

    @property
    def products_dsn(self) -> str:
        """The superuser's connection string for the database `products`."""
        return self.postgres.dsn(database=DATABASE)

    def environment(self, *, token_file: bool = False) -> dict[str, str]:
        """Return the environment that ECS and the tutorial's task definition give to a task.

        *token_file* hands out the authorization token of the credentials endpoint as a file.
        """
        chosen = self.settings
        optional = {
            "VAULT_NAMESPACE": chosen.namespace,
            "LEASEKEEPER_AUTH__SERVER_ID": chosen.server_id or "",
        }
        return {
            "VAULT_ADDR": self.address,
            "VAULT_ROLE": chosen.role,
            "AWS_REGION": chosen.region,
            "AWS_DEFAULT_REGION": chosen.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            **self.ecs.environment(token_file=token_file),
            "LEASEKEEPER_AUTH__STS_ENDPOINT": self.sts.url,
            **{name: value for name, value in optional.items() if value},
        }

    async def bind_role(
        self,
        name: str,
        *,
        arns: Sequence[str] = (),
        tokens: TokenRules | None = None,
        policies: Sequence[str] = (POLICY,),
    ) -> None:
        """Create or change a role of `auth/aws`; without *arns* the IAM role of the same name."""
        await self._setup.bind_task_role(name, tokens or self.settings.tokens, policies)
        own = f"arn:aws:iam::123456789012:role/{name}"
        self.gateway.logins.bindings[name] = tuple(arns) or (own,)

    async def set_policy(self, rules: str, *, name: str = POLICY) -> None:
        """Replace the rules of a policy, in HCL; they hold for existing tokens at once."""
        await self.admin.write(f"sys/policies/acl/{name}", policy=rules)

    async def set_database_ttl(self, *, ttl_s: int, max_ttl_s: int) -> None:
        """Change how long credentials live that are issued from now on."""
        path = f"{self.settings.database.mount}/roles/{ROLE}"
        await self.admin.write(path, default_ttl=ttl_s, max_ttl=max_ttl_s)

    async def leases(self, path: str | None = None) -> list[str]:
        """Return the ids of the leases issued at *path*, by default the database credentials."""
        prefix = path or self.creds_path
        keys = await self.admin.list(f"sys/leases/lookup/{prefix}")
        return [f"{prefix}/{key}" for key in keys]

    async def revoke_lease(self, lease_id: str) -> None:
        """Revoke one lease and wait until it is gone."""
        await self.admin.write("sys/leases/revoke", lease_id=lease_id, sync=True)

    async def revoke_prefix(self, path: str | None = None) -> None:
        """Revoke every lease below *path*, by default the database credentials, and wait."""
        await self.admin.write(f"sys/leases/revoke-prefix/{path or self.creds_path}", sync=True)

    async def revoke_token(self, accessor: str) -> None:
        """Revoke a token, and with it its leases."""
        await self.admin.write("auth/token/revoke-accessor", accessor=accessor)

    async def task_token_accessors(self) -> list[str]:
        """Return the accessors of the tokens that came from `auth/aws`."""
        found = []
        for accessor in await self.admin.list("auth/token/accessors"):
            status, body = await self.admin.send(
                "POST", "auth/token/lookup-accessor", {"accessor": accessor}
            )
            # A token may end between the two requests.
            if status == 200 and body["data"]["path"].endswith(f"auth/{AUTH_MOUNT}/login"):
                found.append(accessor)
        return found


def _first(group: BaseExceptionGroup[DevstackError]) -> DevstackError:
    """Return the first error: the others are what it brought about."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
