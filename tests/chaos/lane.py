"""One subject's own part of the local world, so that many can be broken beside each other."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from leasekeeper.devstack.gateway import Gateway
from leasekeeper.devstack.product_setup import AUTH_MOUNT, CREATION, DATABASE, ROLE, TokenRules
from leasekeeper.devstack.world import World
from tests.chaos.wire import Wire
from tests.chaos.witness import Audit

# What Vault's database engine takes.
SHORTEST_ROTATION_S = 5
POLICY = """
path "{mount}/creds/{lane}"        {{ capabilities = ["read"] }}
path "{mount}/static-creds/{lane}s" {{ capabilities = ["read"] }}
path "secret/data/{lane}/*"        {{ capabilities = ["read"] }}
path "pki/issue/product"           {{ capabilities = ["update"] }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long things live in a lane, in seconds; 0 is none of it, or no limit."""

    token_ttl_s: float = 3600
    token_max_ttl_s: float = 0
    lease_ttl_s: float = 3600
    lease_max_ttl_s: float = 86400
    static_rotation_s: float = 0

    def tokens(self, factor: float) -> TokenRules:
        """Return the rules for tokens, all times multiplied."""
        return TokenRules(
            ttl_s=whole(self.token_ttl_s * factor), max_ttl_s=whole(self.token_max_ttl_s * factor)
        )


def whole(seconds: float) -> int:
    """Round as Vault counts: whole seconds, and at least one of what is there at all."""
    return max(round(seconds), 1) if seconds > 0 else 0


@dataclass(slots=True)
class Lane:
    """Roles, a policy, a gateway and a wire that nobody else uses.

    *name* is at most eight characters long, for PostgreSQL's users to carry it whole.
    """

    world: World
    name: str
    rules: Rules
    factor: float
    gateway: Gateway = field(init=False)
    wire: Wire = field(init=False)
    audit: Audit = field(init=False)

    async def open(self) -> None:
        """Set everything up."""
        self.audit = Audit(self.world.openbao, self.name)
        await self._set_up_roles()
        if self.rules.static_rotation_s:
            await self._set_up_static_role()
        self.gateway = Gateway(
            self.world.openbao.address, self.world.gateway.logins, mount=AUTH_MOUNT
        )
        await self.gateway.start(0)
        self.wire = Wire(self.gateway.address)
        await self.wire.start()

    async def close(self) -> None:
        """End the gateway and the wire, and let go of what was leased."""
        await self.wire.close()
        self.gateway.faults.clear()
        await self.gateway.stop_listening()  # not `close`: its logins are the world's
        await self.world.revoke_prefix(self.creds_path)

    async def _set_up_roles(self) -> None:
        admin, tokens = self.world.admin, self.rules.tokens(self.factor)
        rules = POLICY.format(mount=self._mount, lane=self.name)
        await admin.write(f"sys/policies/acl/{self.name}", policy=rules)
        await admin.write(
            f"{self._mount}/roles/{self.name}",
            db_name=ROLE,
            creation_statements=[CREATION],
            default_ttl=whole(self.rules.lease_ttl_s * self.factor),
            max_ttl=whole(self.rules.lease_max_ttl_s * self.factor),
        )
        task_role = f"arn:aws:iam::123456789012:role/{self.world.settings.role}"
        await self.world.bind_role(self.name, arns=[task_role], tokens=tokens, policies=[self.name])
        await admin.write(
            f"auth/approle/role/{self.name}", token_policies=[self.name], **tokens.fields()
        )

    async def _set_up_static_role(self) -> None:
        query, user = self.world.postgres.query, f"static_{self.name}"
        await query(f"CREATE ROLE {user} LOGIN PASSWORD '{secrets.token_urlsafe(24)}'")
        await query(f"GRANT {user} TO vaultadmin WITH ADMIN OPTION")
        await self.world.admin.write(
            f"{self._mount}/static-roles/{self.name}s",
            db_name=ROLE,
            username=user,
            rotation_period=max(
                whole(self.rules.static_rotation_s * self.factor), SHORTEST_ROTATION_S
            ),
            rotation_statements=["ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}';"],
        )

    @property
    def _mount(self) -> str:
        return self.world.settings.database.mount

    @property
    def creds_path(self) -> str:
        """Path of this lane's dynamic credentials."""
        return f"{self._mount}/creds/{self.name}"

    def application_template(self, *, static: bool = False) -> str:
        """Return a template with what `tests.chaos.application` wants."""
        path = f"{self._mount}/static-creds/{self.name}s" if static else self.creds_path
        where = f"host=127.0.0.1 port={self.world.postgres.port} dbname={DATABASE}"
        return (
            f'{{{{ with secret "{path}" }}}}{{"user": "{{{{ .Data.username }}}}", '
            f'"dsn": "{where} sslmode=disable user={{{{ .Data.username }}}} '
            'password={{ .Data.password }}", "user_again": "{{ .Data.username }}"}{{ end }}\n'
        )

    async def write_kv(self, name: str, **data: object) -> None:
        """Write one of this lane's secrets in KV 2."""
        await self.world.admin.write(f"secret/data/{self.name}/{name}", data=data)

    async def approle(self) -> tuple[str, str]:
        """Return a role id and a secret id."""
        path = f"auth/approle/role/{self.name}"
        role_id = (await self.world.admin.read(f"{path}/role-id"))["role_id"]
        secret = await self.world.admin.call("POST", f"{path}/secret-id")
        return role_id, secret["data"]["secret_id"]

    async def leases(self) -> list[str]:
        """Return the ids of the living leases."""
        return await self.world.leases(self.creds_path)

    async def revoke_leases(self) -> None:
        """Revoke every lease, as an operator does."""
        await self.world.revoke_prefix(self.creds_path)

    async def tokens(self) -> list[str]:
        """Return the accessors of the living tokens."""
        found = []
        for accessor in await self.world.admin.list("auth/token/accessors"):
            status, body = await self.world.admin.send(
                "POST", "auth/token/lookup-accessor", {"accessor": accessor}
            )
            if status == 200 and self.name in body["data"]["policies"]:
                found.append(accessor)
        return found

    async def revoke_tokens(self) -> None:
        """Revoke every token, as an operator does."""
        for accessor in await self.tokens():
            await self.world.revoke_token(accessor)

    def mints(self, since: int = 0) -> int:
        """Return how many credentials OpenBao has made since a mark of the audit log."""
        return self.audit.mints(self.creds_path, since=since)
