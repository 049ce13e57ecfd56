"""The client against a real server (OpenBao), through the gateway that can break things."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from leasekeeper.errors import SecretNotFound, VaultDenied, VaultRejected, VaultUnavailable
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.client import Mount, VaultClient
from leasekeeper.vault.response import JsonNumber
from tests.world import SharedWorld


async def token(world: SharedWorld, **wishes: Any) -> str:
    """Return a new token with the world's policy and whatever is wished for."""
    fields = {"policies": ["product"], "ttl": "5m", **wishes}
    answer = await world.run(world.parts.admin.write("auth/token/create", **fields))
    return str(answer["auth"]["client_token"])


async def write(world: SharedWorld, path: str, **fields: Any) -> None:
    await world.run(world.parts.admin.write(path, **fields))


@pytest.fixture
async def client(world: SharedWorld) -> AsyncIterator[VaultClient]:
    """A client with a token of the tutorial's policy."""
    talking = VaultClient(VaultSection(address=world.parts.address))
    talking.use_token(await token(world), 1)
    yield talking
    await talking.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


# -- tokens -------------------------------------------------------------------------------------


async def test_a_login_brings_a_token_and_what_it_may(world: SharedWorld) -> None:
    where = "auth/approle/role/product"
    role = await world.run(world.parts.admin.read(f"{where}/role-id"))
    secret = await world.run(world.parts.admin.write(f"{where}/secret-id"))
    client = VaultClient(VaultSection(address=world.parts.address))
    body = {"role_id": role["role_id"], "secret_id": secret["data"]["secret_id"]}

    response = await client.login("approle", body)
    await client.close()

    assert response.auth is not None
    assert response.auth.client_token
    assert response.auth.policies == ("default", "product")
    assert response.auth.metadata == {"role_name": "product"}
    assert (response.auth.lease_duration_s, response.auth.renewable) == (3600, True)
    assert response.auth.client_token not in repr(response)


async def test_a_refused_login_tells_vaults_words_only_in_errors(world: SharedWorld) -> None:
    client = VaultClient(VaultSection(address=world.parts.address))

    with pytest.raises(VaultRejected) as raised:
        await client.login("approle", {"role_id": "r", "secret_id": "canary-secret-id"})
    await client.close()

    assert raised.value.errors == ("invalid role or secret ID",)
    assert str(raised.value) == "login 'auth/approle/login': 400"


async def test_a_token_is_renewed_looked_up_and_revoked(
    world: SharedWorld, client: VaultClient
) -> None:
    client.use_token(await token(world, ttl="60s", explicit_max_ttl="90s"), 2)

    renewal = await client.renew_token(60)
    short = await client.renew_token(600)
    looked_up = await client.lookup_token()
    await client.revoke_token()
    with pytest.raises(VaultDenied) as raised:
        await client.lookup_token()

    assert renewal.auth is not None
    assert renewal.auth.lease_duration_s == 60
    assert short.auth is not None
    assert short.auth.lease_duration_s in (89, 90)
    assert looked_up.data is not None
    assert 88 <= int(looked_up.data["ttl"]) <= 90
    assert raised.value.token_serial == 2


async def test_another_token_can_be_looked_up_without_using_it(
    world: SharedWorld, client: VaultClient
) -> None:
    other = await token(world, ttl="77s")

    found = await client.lookup_token(other)
    own = await client.lookup_token()

    assert found.data is not None
    assert own.data is not None
    assert (str(found.data["creation_ttl"]), str(own.data["creation_ttl"])) == ("77", "300")


async def test_renewals_that_cannot_be_are_final(world: SharedWorld, client: VaultClient) -> None:
    client.use_token(await token(world, type="batch"), 2)
    with pytest.raises(VaultRejected, match="batch tokens cannot be renewed"):
        await client.renew_token(60)

    client.use_token(await token(world, renewable=False), 3)
    with pytest.raises(VaultRejected, match="lease is not renewable"):
        await client.renew_token(60)


# -- secrets ------------------------------------------------------------------------------------


async def test_numbers_are_kept_digit_by_digit(
    world: SharedWorld, client: VaultClient, name: str
) -> None:
    await write(world, f"kv/{name}", id=2**62 + 1, price=1.5, many=[1, {"deep": -7}], text="8")

    data = (await client.read(f"kv/{name}")).data

    assert data is not None
    assert data["price"] == "1.5"
    assert data["many"] == ["1", {"deep": "-7"}]
    assert int(data["id"]) == 2**62 + 1
    assert all(isinstance(data[key], JsonNumber) for key in ("id", "price"))
    assert not isinstance(data["text"], JsonNumber)


async def test_paths_may_hold_whatever_vault_allows(
    world: SharedWorld, client: VaultClient, name: str
) -> None:
    names = ["with space", "ünïcode-☃", "per%cent", "100%25", "plus+plus", "a&b=c", "semi;x", "#1"]
    for each in names:
        await client_write(world, client, f"kv/{name}/{each}", {"name": each})

    listed = await client.list(f"kv/{name}")
    read = [(await client.read(f"kv/{name}/{each}")).data for each in names]

    assert listed.data is not None
    assert sorted(listed.data["keys"]) == sorted(names)
    assert read == [{"name": each} for each in names]


async def client_write(
    world: SharedWorld, client: VaultClient, path: str, data: dict[str, str]
) -> None:
    """Write as root, but through the client, so that it escapes the path."""
    own = client._transport.token
    client.use_token(world.parts.openbao.root_token, 9)
    try:
        await client.write(path, data)
    finally:
        client.use_token(own, 1)


async def test_a_path_may_carry_a_query(world: SharedWorld, client: VaultClient, name: str) -> None:
    await write(world, f"secret/data/{name}", data={"n": "one"})
    await write(world, f"secret/data/{name}", data={"n": "two"})

    old = await client.read(f"secret/data/{name}?version=1")
    new = await client.read(f"secret/data/{name}")

    assert old.data is not None
    assert new.data is not None
    assert (old.data["data"], new.data["data"]) == ({"n": "one"}, {"n": "two"})


async def test_a_missing_a_deleted_and_a_destroyed_secret_are_told_apart(
    world: SharedWorld, client: VaultClient, name: str
) -> None:
    path = f"secret/data/{name}"
    said = []
    with pytest.raises(SecretNotFound) as raised:
        await client.read(path)
    said.append(raised.value.message)
    await write(world, path, data={"a": "canary-value"})
    await world.run(world.parts.admin.delete(path))
    with pytest.raises(SecretNotFound) as raised:
        await client.read(path)
    said.append(raised.value.message)
    await write(world, f"secret/destroy/{name}", versions=[1])
    with pytest.raises(SecretNotFound) as raised:
        await client.read(path)
    said.append(raised.value.message)

    assert said == [
        f"no secret exists at {path}",
        f"no secret exists at {path}: version 1 was deleted",
        f"no secret exists at {path}: version 1 was destroyed",
    ]
    assert "undelete" in str(raised.value), "the message carries the fix"


async def test_a_path_without_an_engine_is_told_from_a_missing_secret(world: SharedWorld) -> None:
    client = VaultClient(VaultSection(address=world.parts.address))
    client.use_token(world.parts.openbao.root_token, 1)

    with pytest.raises(SecretNotFound, match="no handler for route"):
        await client.read("nowhere/at/all")
    await client.close()


async def test_a_list_of_nothing_is_not_found(client: VaultClient, name: str) -> None:
    with pytest.raises(SecretNotFound, match=f"list 'kv/{name}': there is nothing"):
        await client.list(f"kv/{name}")


async def test_a_write_may_answer_with_data_or_with_nothing(
    client: VaultClient, world: SharedWorld, name: str
) -> None:
    issued = await client.write("pki/issue/product", {"common_name": "a.product.internal"})
    own = client._transport.token
    client.use_token(world.parts.openbao.root_token, 2)
    nothing = await client.write(f"kv/{name}", {"a": "b"})
    client.use_token(own, 1)

    assert issued.data is not None
    assert issued.data["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert int(issued.data["expiration"]) > 0
    assert nothing.data is None


async def test_a_denied_path_is_named_and_the_token_with_it(client: VaultClient) -> None:
    with pytest.raises(VaultDenied) as raised:
        await client.read("secret-of-others/x")

    assert raised.value.path == "secret-of-others/x"
    assert raised.value.operation == "read"
    assert raised.value.token_serial == 1
    assert raised.value.status == 403


async def test_a_wrapped_answer_is_an_answer(world: SharedWorld, client: VaultClient) -> None:
    """Somebody may have put wrapping into the path's policy: there is no data then."""
    headers = {"X-Vault-Wrap-TTL": "60s"}
    response = await client._call("read", "GET", "kv/product", headers=headers)

    assert response.data is None
    assert response.wrap_info is not None
    assert response.wrap_info.ttl_s == 60
    assert response.wrap_info.creation_path == "kv/product"
    assert response.wrap_info.token not in repr(response)


# -- mounts -------------------------------------------------------------------------------------


async def test_the_engine_behind_a_path_is_found(client: VaultClient) -> None:
    assert await client.mount_of("secret/product/deeper") == Mount("secret/", "kv", 2)
    assert await client.mount_of("kv/product") == Mount("kv/", "kv", 1)
    database = await client.mount_of("learn/database/creds/product")
    assert database == Mount("learn/database/", "database", 1)


@pytest.mark.parametrize("path", ["sys/health", "auth/token/lookup-self", "identity/entity/id"])
async def test_what_vault_serves_itself_is_not_asked_about(
    world: SharedWorld, client: VaultClient, path: str
) -> None:
    """The mount of auth/token would come back as `token/`, and be taken for an engine there."""
    before = len(world.parts.gateway.seen)

    assert await client.mount_of(path) is None
    assert len(world.parts.gateway.seen) == before


async def test_a_mount_that_may_not_be_seen_names_the_secrets_path(client: VaultClient) -> None:
    """Vault does not tell a mount that is not there from one that the policy hides."""
    with pytest.raises(VaultDenied) as raised:
        await client.mount_of("nowhere/at/all")

    assert raised.value.path == "nowhere/at/all"
    assert "ensure client's policies grant access to path" in str(raised.value)


# -- leases -------------------------------------------------------------------------------------


async def test_a_lease_is_renewed_looked_up_and_revoked(
    world: SharedWorld, client: VaultClient
) -> None:
    issued = await client.read(world.parts.creds_path)
    renewed = await client.renew_lease(issued.lease_id, 1800)
    looked_up = await client.lookup_lease(issued.lease_id)
    client.use_token(world.parts.openbao.root_token, 2)
    await client.revoke_lease(issued.lease_id)
    with pytest.raises(VaultRejected, match="invalid lease") as lookup:
        await client.lookup_lease(issued.lease_id)
    with pytest.raises(VaultRejected, match="lease not found"):
        await client.renew_lease(issued.lease_id, 1800)

    assert issued.lease_id.startswith(f"{world.parts.creds_path}/")
    assert (issued.lease_duration_s, issued.renewable) == (3600, True)
    assert (renewed.lease_id, renewed.lease_duration_s) == (issued.lease_id, 1800)
    assert looked_up.data is not None
    assert 1790 <= int(looked_up.data["ttl"]) <= 1800
    assert lookup.value.status == 400


# -- the server as a whole ----------------------------------------------------------------------


async def test_the_clock_is_compared_with_every_answer(
    world: SharedWorld, client: VaultClient
) -> None:
    assert client.clock_offset_s is None
    gateway = world.parts.gateway
    gateway.clock_offset_s = -7200.0
    try:
        with (
            world.fault("status", path="/v1/kv/product", status=404),  # with the gateway's Date
            pytest.raises(SecretNotFound),
        ):
            await client.read("kv/product")
        behind = client.clock_offset_s
    finally:
        gateway.clock_offset_s = 0.0
    await client.read("kv/product")

    assert behind == pytest.approx(-7200, abs=3)
    assert client.clock_offset_s == pytest.approx(0, abs=3)


async def test_a_namespace_is_sent_with_everything_but_the_health_question(
    world: SharedWorld, name: str
) -> None:
    admin = world.parts.admin
    await write(world, f"sys/namespaces/{name}")
    space = {"X-Vault-Namespace": name}
    for path, body in (("sys/mounts/kv", {"type": "kv"}), ("kv/app", {"a": "in the namespace"})):
        status, _ = await world.run(admin.send("POST", path, body, headers=space))
        assert status == 204
    client = VaultClient(VaultSection(address=world.parts.address, namespace=name))
    client.use_token(world.parts.openbao.root_token, 1)

    found = await client.read("kv/app")
    reachable = await client._ask_health()
    await client.close()

    assert found.data == {"a": "in the namespace"}
    assert reachable


async def test_a_dropped_answer_is_unavailable_and_not_a_refusal(
    world: SharedWorld, client: VaultClient
) -> None:
    with (
        world.fault("drop_answer", path="/v1/kv/product", times=None),
        pytest.raises(VaultUnavailable) as raised,
    ):
        await client.read("kv/product")

    assert raised.value.unreachable
    assert (raised.value.operation, raised.value.path) == ("read", "kv/product")
    assert (await client.read("kv/product")).data is not None


async def test_a_secret_as_large_as_raft_stores_is_read_whole(
    client: VaultClient, world: SharedWorld
) -> None:
    large = "x" * (900 * 1024)
    own = client._transport.token
    client.use_token(world.parts.openbao.root_token, 2)
    await client.write("kv/large", {"value": large})
    client.use_token(own, 1)

    found = await client.read("kv/large")

    assert found.data == {"value": large}
