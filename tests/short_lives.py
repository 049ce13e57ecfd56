"""An AppRole and a database role of a test's own, whose tokens and leases live for seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from leasekeeper.devstack.product_setup import CREATION, DatabaseRules
from tests.world import SharedWorld


@dataclass(frozen=True)
class ShortLives:
    """How to log in, and what to read."""

    role_id: str
    secret_id: str
    secret: str
    address: str

    def config(self, destination: Path | None, more: str = "") -> str:
        """Return a configuration with one output, or with none of its own."""
        outputs = "" if destination is None else f"outputs:\n{self.output(destination)}"
        return (
            f'vault: {{address: "{self.address}"}}\n'
            f"auth: {{method: approle, role_id: {self.role_id}, secret_id: {self.secret_id}}}\n"
            f"secrets: {{overlap: 1s}}\n{outputs}{more}"
        )

    def output(self, destination: Path, secret: str = "", more: str = "") -> str:
        """Return one item of a list of outputs: user and password of *secret*."""
        return f"  - destination: {destination}\n    template: '{self.template(secret)}'\n{more}"

    def template(self, secret: str = "") -> str:
        return (
            f'{{{{ with secret "{secret or self.secret}" }}}}'
            "{{ .Data.username }}:{{ .Data.password }}{{ end }}"
        )


async def short_lives(
    world: SharedWorld,
    name: str,
    *,
    token_s: int,
    lease_s: int,
    max_lease_s: int,
    roles: int = 1,
    paths: Iterable[str] = (),
    token: Mapping[str, object] | None = None,
) -> ShortLives:
    """Make an AppRole and *roles* database roles: *name*, then *name*1 and so on.

    The token may read *paths*, too. *token* holds further fields of the AppRole (``token_type``).
    """
    admin, mount = world.parts.admin, DatabaseRules().mount
    rules = "".join(
        f'path "{mount}/creds/{role}" {{ capabilities = ["read"] }}\n'
        for role in _names(name, roles)
    )
    rules += "".join(f'path "{path}" {{ capabilities = ["read"] }}\n' for path in paths)
    rules += 'path "sys/leases/revoke" { capabilities = ["update"] }\n'
    await world.run(admin.write(f"sys/policies/acl/{name}", policy=rules))
    for role in _names(name, roles):
        await world.run(
            admin.write(
                f"{mount}/roles/{role}",
                db_name="product",
                creation_statements=[CREATION],
                default_ttl=lease_s,
                max_ttl=max_lease_s,
            )
        )
    await world.run(
        admin.write(
            f"auth/approle/role/{name}", token_policies=[name], token_ttl=token_s, **(token or {})
        )
    )
    role_id = await world.run(admin.read(f"auth/approle/role/{name}/role-id"))
    secret_id = await world.run(admin.write(f"auth/approle/role/{name}/secret-id"))
    return ShortLives(
        role_id["role_id"],
        secret_id["data"]["secret_id"],
        f"{mount}/creds/{name}",
        world.parts.gateway.address,
    )


def _names(name: str, roles: int) -> list[str]:
    return [name, *(f"{name}{number}" for number in range(1, roles))]
