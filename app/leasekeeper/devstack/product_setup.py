"""The tutorial's set-up: the database `products` and what OpenBao needs to give access to it.

=========================  ================================================================
`learn/database`           dynamic role `product`, static role `product-static`
`secret`, `kv`             KV v2 and v1, each with a secret `product`
`pki`                      a root certificate and the role `product`
`transit`                  the key `product`
`auth/aws`                 the role of the task (see `logins`)
`auth/approle`             the role `product`
policy `product`           reads all of that
=========================  ================================================================
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leasekeeper.devstack.admin import Admin
from leasekeeper.devstack.errors import Refused
from leasekeeper.devstack.postgres import Postgres

DATABASE = "products"
ROLE = "product"
STATIC_ROLE = "product-static"
STATIC_USER = "product_static"
POLICY = "product"
AUTH_MOUNT = "aws"
# A new KV v2 mount refuses writes for a moment, on a busy machine for some seconds.
UPGRADE_DEADLINE_S = 20.0

CREATION = (
    "CREATE ROLE \"{{username}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; "
    'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{username}}";'
)

SCHEMA = """
CREATE TABLE coffees (
  id integer PRIMARY KEY, name text NOT NULL, teaser text NOT NULL, description text NOT NULL,
  price integer NOT NULL, image text NOT NULL
);
CREATE TABLE coffee_ingredients (
  coffee_id integer REFERENCES coffees (id), ingredient_id integer NOT NULL,
  PRIMARY KEY (coffee_id, ingredient_id)
)
"""

# id, name, teaser, price, image, ingredient ids: the menu of HashiCorp's demo shop.
COFFEES: Sequence[tuple[int, str, str, int, str, tuple[int, ...]]] = (
    (1, "HashiCup", "Automation in a cup", 200, "/hashicorp.png", (6,)),
    (2, "Packer Spiced Latte", "Packed with goodness to spice up your images", 350,
     "/packer.png", (1, 2, 4)),
    (3, "Vaulatte", "Nothing gives you a safe and secure feeling like a Vaulatte", 200,
     "/vault.png", (1, 2)),
    (4, "Nomadicano", "Drink one today and you will want to schedule another", 150,
     "/nomad.png", (1, 3)),
    (5, "Terraspresso", "Nothing kickstarts your day like a provision of Terraspresso", 150,
     "/terraform.png", (1,)),
    (6, "Vagrante espresso", "Stdin is not a tty", 200, "/vagrant.png", (1,)),
)  # fmt: skip

RULES = """
path "{database}/creds/{role}"                { capabilities = ["read"] }
path "{database}/static-creds/product-static" { capabilities = ["read"] }
path "secret/data/*"                          { capabilities = ["read"] }
path "secret/metadata/*"                      { capabilities = ["read", "list"] }
path "kv/*"                                   { capabilities = ["read", "list"] }
path "pki/issue/product"                      { capabilities = ["update"] }
path "transit/encrypt/product"                { capabilities = ["update"] }
path "transit/decrypt/product"                { capabilities = ["update"] }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """How long a role's tokens live, in seconds; 0 is the server's default (768 h)."""

    ttl_s: int = 3600
    max_ttl_s: int = 0
    period_s: int = 0
    kind: str = "service"

    def fields(self) -> dict[str, object]:
        """Return the fields of a role in OpenBao's words."""
        return {
            "token_ttl": self.ttl_s,
            "token_max_ttl": self.max_ttl_s,
            "token_period": self.period_s,
            "token_type": self.kind,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRules:
    """Where the database engine is and how long its credentials live, in seconds."""

    mount: str = "learn/database"
    ttl_s: int = 3600
    max_ttl_s: int = 86400
    static_rotation_period_s: int = 3600


class ProductSetup:
    """Sets the tutorial up, once, in OpenBao (through *admin*) and PostgreSQL."""

    def __init__(
        self, admin: Admin, postgres: Postgres, *, database: DatabaseRules, tokens: TokenRules
    ) -> None:
        self._admin = admin
        self._postgres = postgres
        self._database = database
        self._tokens = tokens
        # OpenBao's own user of PostgreSQL.
        self._password = secrets.token_urlsafe(24)

    async def fill_database(self) -> None:
        """Create the database with its tables, OpenBao's user and the static role's user."""
        query = self._postgres.query
        await query(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        for user, rights, password in (
            ("vaultadmin", "CREATEROLE", self._password),
            (STATIC_USER, "", secrets.token_urlsafe(24)),
        ):
            await query(f"CREATE ROLE {user} LOGIN {rights} PASSWORD '{password}'")
        for statement in SCHEMA.split(";"):
            await query(statement, database=DATABASE)
        for number, name, teaser, price, image, ingredients in COFFEES:
            await query(
                "INSERT INTO coffees VALUES (%s, %s, %s, '', %s, %s)",
                [number, name, teaser, price, image],
                database=DATABASE,
            )
            await query(
                "INSERT INTO coffee_ingredients SELECT %s, unnest(%s::int[])",
                [number, list(ingredients)],
                database=DATABASE,
            )
        await query(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO vaultadmin WITH GRANT OPTION",
            database=DATABASE,
        )
        await query(f"GRANT {STATIC_USER} TO vaultadmin WITH ADMIN OPTION")

    async def fill_openbao(self) -> None:
        """Enable and fill the engines and auth methods; the database must be ready."""
        if self._admin.namespace:
            await self._create_namespace(self._admin.namespace)
        await asyncio.gather(
            self._policy(),
            self._database_engine(),
            self._key_values(),
            self._pki(),
            self._transit(),
            self._approle(),
            self._admin.enable("auth", AUTH_MOUNT, "approle", description="Vault's aws method"),
        )

    async def _create_namespace(self, namespace: str) -> None:
        root = Admin(self._admin.address, token=self._admin.token)
        try:
            await root.write(f"sys/namespaces/{namespace}")
        finally:
            await root.close()

    async def _policy(self) -> None:
        rules = RULES.replace("{database}", self._database.mount).replace("{role}", ROLE)
        await self._admin.write(f"sys/policies/acl/{POLICY}", policy=rules)

    async def _database_engine(self) -> None:
        mount = self._database.mount
        await self._admin.enable("mounts", mount, "database")
        address = f"{self._postgres.host}:{self._postgres.port}"
        await self._admin.write(
            f"{mount}/config/product",
            plugin_name="postgresql-database-plugin",
            connection_url=(
                f"postgresql://{{{{username}}}}:{{{{password}}}}@{address}/{DATABASE}?sslmode=disable"
            ),
            username="vaultadmin",
            password=self._password,
            allowed_roles="*",
            password_authentication="scram-sha-256",
        )
        await self._admin.write(
            f"{mount}/roles/{ROLE}",
            db_name="product",
            creation_statements=[CREATION],
            default_ttl=self._database.ttl_s,
            max_ttl=self._database.max_ttl_s,
        )
        await self._admin.write(
            f"{mount}/static-roles/{STATIC_ROLE}",
            db_name="product",
            username=STATIC_USER,
            rotation_period=self._database.static_rotation_period_s,
            rotation_statements=["ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}';"],
        )

    async def _key_values(self) -> None:
        await self._admin.enable("mounts", "kv", "kv", options={"version": "1"})
        await self._admin.write("kv/product", api_key="v1-api-key", region="eu-central-1")
        await self._admin.enable("mounts", "secret", "kv", options={"version": "2"})
        data = {"api_key": "v2-api-key", "stripe": {"public": "pk", "secret": "sk"}}
        async with asyncio.timeout(UPGRADE_DEADLINE_S):
            while not await self._is_written("secret/data/product", data):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _is_written(self, path: str, data: Mapping[str, object]) -> bool:
        """Write to KV v2; False while the new mount is still making itself versioned."""
        try:
            await self._admin.write(path, data=data)
        except Refused as error:
            if "Upgrading from non-versioned" in str(error):
                return False
            raise
        return True

    async def _pki(self) -> None:
        await self._admin.enable("mounts", "pki", "pki", config={"max_lease_ttl": "87600h"})
        await self._admin.write(
            "pki/root/generate/internal",
            common_name="Local World Root",
            key_type="ec",
            key_bits=256,
            ttl="8760h",
        )
        await self._admin.write(
            "pki/roles/product",
            allowed_domains=["product.internal", "localhost"],
            allow_subdomains=True,
            allow_bare_domains=True,
            key_type="ec",
            key_bits=256,
            ttl="1h",
            max_ttl="24h",
        )

    async def _transit(self) -> None:
        await self._admin.enable("mounts", "transit", "transit")
        await self._admin.write("transit/keys/product")

    async def _approle(self) -> None:
        await self._admin.enable("auth", "approle", "approle")
        await self._admin.write(
            "auth/approle/role/product", token_policies=[POLICY], **self._tokens.fields()
        )

    async def bind_task_role(self, name: str, tokens: TokenRules, policies: Sequence[str]) -> None:
        """Create or change a role of `auth/aws`."""
        await self._admin.write(
            f"auth/{AUTH_MOUNT}/role/{name}",
            token_policies=list(policies),
            # AppRole wants one constraint; the proof of identity is the gateway's part.
            bind_secret_id=False,
            secret_id_bound_cidrs=["127.0.0.1/32"],
            **tokens.fields(),
        )
