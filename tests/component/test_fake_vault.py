"""The Vault in memory, behind the tests in virtual time, answers like the real one (OpenBao).

Each scenario runs against both, through the real client, and what the client makes of the answers
is compared.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from leasekeeper.errors import VaultError
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.response import VaultResponse
from tests.fakes.fake_vault import FakeVault
from tests.world import SharedWorld


class Side:
    """One of the two; mounts and roles have the same names in both."""

    client: VaultClient

    async def token(
        self,
        *,
        ttl: int = 300,
        max_ttl: int = 3600,
        period: int = 0,
        renewable: bool = True,
        kind: str = "service",
        uses: int = 0,
    ) -> str:
        raise NotImplementedError

    async def role(self, *, ttl: int, max_ttl: int, uses: int = 0) -> str:
        """Return the path of database credentials that live so long.

        The token in use may read them *uses* times, 0 is without a limit.
        """
        raise NotImplementedError

    async def put(self, path: str, data: dict[str, Any]) -> None:
        raise NotImplementedError

    async def delete(self, path: str) -> None:
        raise NotImplementedError

    async def use(self, **wishes: Any) -> None:
        self.client.use_token(await self.token(**wishes), 1)

    async def told(self, ask: Awaitable[VaultResponse]) -> Any:
        """Return what the code that asks gets to see."""
        try:
            response = await ask
        except VaultError as error:
            return (type(error).__name__, error.status, error.errors)
        return _facts(response)


class Seconds:
    """A duration; a second of difference is the clock's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seconds) and abs(self.value - other.value) <= 1

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.value} s"


def _facts(response: VaultResponse) -> dict[str, Any]:
    auth = response.auth
    return {
        "leased": bool(response.lease_id),
        "lease_duration": Seconds(response.lease_duration_s),
        "renewable": response.renewable,
        "data": sorted(response.data) if response.data is not None else None,
        "auth": None
        if auth is None
        else (
            Seconds(auth.lease_duration_s),
            auth.renewable,
            auth.token_type,
            bool(auth.client_token),
            bool(auth.accessor),
            auth.policies,
            auth.token_policies,
        ),
    }


class FakeSide(Side):
    def __init__(self) -> None:
        self.vault = FakeVault()
        self.client = VaultClient(VaultSection(address="http://fake:8200"), None, self.vault)

    async def token(
        self,
        *,
        ttl: int = 300,
        max_ttl: int = 3600,
        period: int = 0,
        renewable: bool = True,
        kind: str = "service",
        uses: int = 0,
    ) -> str:
        self.vault.token_ttl, self.vault.token_max_ttl = ttl, max_ttl
        self.vault.token_period, self.vault.token_renewable = period, renewable
        self.vault.token_kind, self.vault.token_uses = kind, uses
        auth = (await self.client.login("approle", {})).auth
        assert auth is not None
        return auth.client_token

    async def role(self, *, ttl: int, max_ttl: int, uses: int = 0) -> str:
        self.vault.lease_ttl, self.vault.lease_max_ttl = ttl, max_ttl
        if uses:
            await self.use(uses=uses)
        return "database/creds/app"

    async def put(self, path: str, data: dict[str, Any]) -> None:
        if path.startswith("secret/data/"):
            self.vault.kv2[path.removeprefix("secret/data/")] = data
        else:
            self.vault.kv1[path.removeprefix("kv/")] = data

    async def delete(self, path: str) -> None:
        self.vault.kv2_deleted.add(path.removeprefix("secret/data/"))


class RealSide(Side):
    """OpenBao; `database` there is reached under another mount of the world."""

    def __init__(self, world: SharedWorld) -> None:
        self.world = world
        self.admin = world.parts.admin
        self.client = VaultClient(VaultSection(address=world.parts.openbao.address))
        self._sends = self.client._transport.send
        self.client._transport.send = self._send  # type: ignore[method-assign]

    async def _send(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        mount = self.world.parts.settings.database.mount
        path = path.replace("/v1/database/", f"/v1/{mount}/")
        path = path.replace("mounts/database/", f"mounts/{mount}/")
        return await self._sends(method, path, *args, **more)

    async def token(
        self,
        *,
        ttl: int = 300,
        max_ttl: int = 3600,
        period: int = 0,
        renewable: bool = True,
        kind: str = "service",
        uses: int = 0,
    ) -> str:
        fields: dict[str, Any] = {"policies": ["product"], "ttl": f"{ttl}s", "type": kind}
        if period:
            fields["period"] = f"{period}s"
        elif kind == "service":
            fields |= {"explicit_max_ttl": f"{max_ttl}s", "renewable": renewable}
        if uses:
            fields["num_uses"] = uses
        answer = await self.world.run(self.admin.write("auth/token/create", **fields))
        return str(answer["auth"]["client_token"])

    async def role(self, *, ttl: int, max_ttl: int, uses: int = 0) -> str:
        mount, name = self.world.parts.settings.database.mount, f"app-{secrets.token_hex(4)}"
        product = await self.world.run(self.admin.read(f"{mount}/roles/product"))
        fields = {
            "db_name": "product",
            "creation_statements": product["creation_statements"],
            "default_ttl": ttl,
            "max_ttl": max_ttl,
        }
        await self.world.run(self.admin.write(f"{mount}/roles/{name}", **fields))
        rule = f'path "{mount}/creds/{name}" {{ capabilities = ["read"] }}'
        await self.world.run(self.admin.write(f"sys/policies/acl/{name}", policy=rule))
        answer = await self.world.run(
            self.admin.write(
                "auth/token/create", policies=["product", name], ttl="300s", num_uses=uses
            )
        )
        self.client.use_token(str(answer["auth"]["client_token"]), 1)
        return f"database/creds/{name}"

    async def put(self, path: str, data: dict[str, Any]) -> None:
        kv2 = path.startswith("secret/data/")
        await self.world.run(self.admin.write(path, **({"data": data} if kv2 else data)))

    async def delete(self, path: str) -> None:
        await self.world.run(self.admin.delete(path))


Scenario = Callable[[Side], Awaitable[list[Any]]]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


# -- tokens -------------------------------------------------------------------------------------


@scenario
async def a_token_renewed_and_looked_up(side: Side) -> list[Any]:
    await side.use(ttl=60)
    return [
        await side.told(side.client.renew_token(60)),
        await side.told(side.client.renew_token(120)),
    ]


@scenario
async def a_token_near_its_max_ttl(side: Side) -> list[Any]:
    await side.use(ttl=60, max_ttl=90)
    return [await side.told(side.client.renew_token(600))]


@scenario
async def a_periodic_token(side: Side) -> list[Any]:
    await side.use(period=30)
    return [await side.told(side.client.renew_token(600))]


@scenario
async def a_batch_token(side: Side) -> list[Any]:
    await side.use(kind="batch", ttl=60)
    return [await side.told(side.client.renew_token(60))]


@scenario
async def a_token_of_few_uses(side: Side) -> list[Any]:
    await side.use(uses=3)
    lookups = [await side.client.lookup_token() for _ in range(3)]
    return [
        *((lookup.data or {})["num_uses"] for lookup in lookups[:2]),
        await side.told(side.client.lookup_token()),
    ]


@scenario
async def the_last_use_of_a_token_for_something_with_a_lease(side: Side) -> list[Any]:
    path = await side.role(ttl=60, max_ttl=600, uses=2)
    return [
        await side.told(side.client.read(path)),
        await side.told(side.client.read(path)),
        await side.told(side.client.lookup_token()),
    ]


@scenario
async def a_token_that_is_not_renewable(side: Side) -> list[Any]:
    await side.use(renewable=False)
    return [await side.told(side.client.renew_token(60))]


@scenario
async def a_revoked_token(side: Side) -> list[Any]:
    await side.use()
    await side.client.revoke_token()
    return [
        await side.told(side.client.lookup_token()),
        await side.told(side.client.renew_token(60)),
        await side.told(side.client.read("kv/product")),
        await side.told(side.client.renew_lease("database/creds/product/x", 60)),
        await side.told(side.client.lookup_lease("database/creds/product/x")),
    ]


@scenario
async def a_token_that_never_was(side: Side) -> list[Any]:
    side.client.use_token("hvs.nobody", 1)
    return [await side.told(side.client.lookup_token())]


@scenario
async def no_token_at_all(side: Side) -> list[Any]:
    side.client.use_token(None, 0)
    return [
        await side.told(side.client.lookup_token()),
        await side.told(side.client.read("kv/product")),
    ]


# -- leases -------------------------------------------------------------------------------------


@scenario
async def credentials_from_first_to_last(side: Side) -> list[Any]:
    await side.use()
    path = await side.role(ttl=20, max_ttl=60)
    issued = await side.client.read(path)
    wishes = (20, 600, 10, 0)
    renew = side.client.renew_lease
    renewals = [await side.told(renew(issued.lease_id, wish)) for wish in wishes]
    looked_up = (await side.client.lookup_lease(issued.lease_id)).data or {}
    return [
        _facts(issued),
        *renewals,
        sorted({"id", "ttl", "renewable", "expire_time"} & set(looked_up)),
        19 <= int(looked_up["ttl"]) <= 20,
    ]


@scenario
async def a_lease_that_is_unknown(side: Side) -> list[Any]:
    await side.use()
    lease = "database/creds/product/unknown"
    return [
        await side.told(side.client.renew_lease(lease, 60)),
        await side.told(side.client.lookup_lease(lease)),
    ]


@scenario
async def a_lease_of_a_token_that_was_revoked(side: Side) -> list[Any]:
    """OpenBao still finds such a lease until it has come to revoke it: its ttl is 0 then."""
    await side.use()
    path = await side.role(ttl=60, max_ttl=600)
    lease = (await side.client.read(path)).lease_id
    await side.client.revoke_token()
    await side.use()
    looked_up = await side.told(side.client.lookup_lease(lease))
    return [looked_up, await side.told(side.client.renew_lease(lease, 60))]


# -- secrets and mounts -------------------------------------------------------------------------


@scenario
async def kv_of_both_versions(side: Side) -> list[Any]:
    await side.use()
    name = secrets.token_hex(4)
    await side.put(f"kv/{name}/one", {"a": "b"})
    await side.put(f"secret/data/{name}/one", {"a": "b"})
    said = [
        await side.told(side.client.read(f"kv/{name}/one")),
        await side.told(side.client.read(f"secret/data/{name}/one")),
        await side.told(side.client.list(f"kv/{name}")),
        await side.told(side.client.list(f"secret/metadata/{name}")),
        await side.told(side.client.read(f"kv/{name}/missing")),
        await side.told(side.client.read(f"secret/data/{name}/missing")),
        await side.told(side.client.list(f"kv/{name}-not")),
        await side.told(side.client.list(f"secret/metadata/{name}-not")),
    ]
    await side.delete(f"secret/data/{name}/one")
    try:
        await side.client.read(f"secret/data/{name}/one")
    except VaultError as error:
        said.append(str(error).replace(name, "NAME"))
    return said


@scenario
async def what_serves_a_path(side: Side) -> list[Any]:
    await side.use()
    found = [await side.client.mount_of(path) for path in ("secret/a/b", "kv/a", "kv")]
    database = await side.client.mount_of("database/creds/product")
    unknown = await side.told(side.client.mount_of("nowhere/at/all"))  # type: ignore[arg-type]
    assert database is not None
    return [*found, (database.engine, database.version), unknown]


@scenario
async def a_role_that_does_not_exist(side: Side) -> list[Any]:
    await side.role(ttl=20, max_ttl=60)
    name = "database/static-creds/product-static-not"
    if isinstance(side, RealSide):
        side.client.use_token(side.world.parts.openbao.root_token, 1)
    else:
        await side.use()
    return [await side.told(side.client.read(name))]


@scenario
async def the_health_of_the_server(side: Side) -> list[Any]:
    return [await side.client._ask_health()]


@pytest.fixture
async def sides(world: SharedWorld) -> AsyncIterator[tuple[FakeSide, RealSide]]:
    fake, real = FakeSide(), RealSide(world)
    yield fake, real
    await real.client.close()


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
async def test_the_fake_answers_like_the_real_server(
    sides: tuple[FakeSide, RealSide], run: Scenario
) -> None:
    fake, real = sides

    assert await run(fake) == await run(real)


async def test_a_lease_of_a_batch_token_is_promised_for_no_longer_than_the_token(
    sides: tuple[FakeSide, RealSide],
) -> None:
    told = []
    for side in sides:
        await side.use(kind="batch", ttl=9)
        if isinstance(side, RealSide):
            path = side.world.parts.creds_path
        else:
            path = await side.role(ttl=60, max_ttl=600)
        issued = await side.client.read(path)
        renewed = await side.client.renew_lease(issued.lease_id, 60)
        told.append((issued.lease_duration_s, renewed.lease_duration_s))

    for issued_s, renewed_s in told:
        assert 8 <= issued_s <= 9
        assert 8 <= renewed_s <= 9


async def test_a_static_role_has_the_fields_that_tell_its_rotation(
    sides: tuple[FakeSide, RealSide], world: SharedWorld
) -> None:
    """What `secrets.lifetime` reads; the fake gives back what a test has put there."""
    _, real = sides
    await real.use()
    response = await real.client.read(world.parts.static_creds_path)

    assert response.lease_id == ""
    assert response.data is not None
    assert {"last_vault_rotation", "ttl", "rotation_period", "password"} <= set(response.data)


async def test_a_certificate_with_a_lease_is_not_renewable(world: SharedWorld) -> None:
    """The other text that the code reads: a lease that is alive, and cannot be renewed."""
    admin, name = world.parts.admin, f"leased-{secrets.token_hex(4)}"
    rules = {"allow_any_name": True, "generate_lease": True, "ttl": "1h"}
    await world.run(admin.write(f"pki/roles/{name}", key_type="ec", key_bits=256, **rules))
    client = VaultClient(VaultSection(address=world.parts.openbao.address))
    client.use_token(world.parts.openbao.root_token, 1)

    issued = await client.write(f"pki/issue/{name}", {"common_name": "a.internal"})
    with pytest.raises(VaultError) as raised:
        await client.renew_lease(issued.lease_id, 60)
    looked_up = await client.lookup_lease(issued.lease_id)
    await client.close()

    assert issued.lease_id
    assert not issued.renewable
    assert raised.value.status == 400
    assert "not renewable" in str(raised.value)
    assert looked_up.data is not None
