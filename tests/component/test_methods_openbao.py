"""AppRole and token-file logins at a real server (OpenBao), with what it really answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from leasekeeper.errors import LoginDenied, LoginInputError, VaultUnavailable
from leasekeeper.settings.model import AppRoleAuth, TokenFileAuth, VaultSection
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient
from tests.fakes.openbao import ROOT_TOKEN, Server, openbao


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with openbao(tmp_path_factory.mktemp("bao")) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[VaultClient]:
    talking = VaultClient(VaultSection(address=server.address))
    yield talking
    await talking.close()


@pytest.fixture
async def approle(server: Server) -> AsyncIterator[dict[str, str]]:
    """An AppRole at `auth/approle`; its ids."""
    await server.ask("POST", "sys/auth/approle", type="approle")
    await server.ask("POST", "auth/approle/role/web", token_ttl="1h", secret_id_num_uses=2)
    role = await server.ask("GET", "auth/approle/role/web/role-id")
    secret = await server.ask("POST", "auth/approle/role/web/secret-id")
    yield {"role_id": role["data"]["role_id"], "secret_id": secret["data"]["secret_id"]}
    await server.ask("DELETE", "sys/auth/approle")


# -- approle ------------------------------------------------------------------------------------


async def test_an_approle_logs_in_with_ids_from_files(
    client: VaultClient, approle: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "role").write_text(f"  {approle['role_id']}\n")
    (tmp_path / "secret").write_text(f"{approle['secret_id']}\n\n")
    method = create_method(
        AppRoleAuth(role_id_file=str(tmp_path / "role"), secret_id_file=str(tmp_path / "secret"))
    )

    auth = await method.login(client)

    assert auth.client_token
    assert (auth.lease_duration_s, auth.renewable, auth.token_type) == (3600, True, "service")


async def test_the_last_good_secret_id_outlives_its_file(
    client: VaultClient, approle: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(approle["secret_id"])
    method = create_method(AppRoleAuth(role_id=approle["role_id"], secret_id_file=str(file)))
    await method.login(client)

    file.unlink()

    assert (await method.login(client)).client_token


async def test_a_new_secret_id_counts_at_the_next_login(
    client: VaultClient, server: Server, approle: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("of another role")
    method = create_method(AppRoleAuth(role_id=approle["role_id"], secret_id_file=str(file)))
    with pytest.raises(LoginInputError, match="holds something else"):
        await method.login(client)

    file.write_text(approle["secret_id"])
    await method.login(client)
    new = await server.ask("POST", "auth/approle/role/web/secret-id")
    await server.ask(
        "POST", "auth/approle/role/web/secret-id/destroy", secret_id=approle["secret_id"]
    )
    file.write_text(new["data"]["secret_id"])

    assert (await method.login(client)).client_token


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret_id": "canary-secret-id"}, "the role id or the secret id is wrong"),
        ({"role_id": "canary-role-id"}, "the role id or the secret id is wrong"),
        ({"secret_id": None}, "the role asks for a secret id"),
    ],
)
async def test_wrong_ids_are_explained_and_not_shown(
    client: VaultClient, approle: dict[str, str], change: dict[str, str], said: str
) -> None:
    method = create_method(AppRoleAuth.model_validate({**approle, **change}))

    with pytest.raises(LoginDenied, match=said) as caught:
        await method.login(client)
    assert 'an AppRole at "auth/approle"' in str(caught.value)
    assert "canary" not in str(caught.value)
    assert not caught.value.retryable


async def test_a_mount_that_is_not_there_is_explained(
    client: VaultClient, approle: dict[str, str]
) -> None:
    method = create_method(AppRoleAuth.model_validate({**approle, "mount": "team/approle"}))

    with pytest.raises(LoginDenied) as caught:
        await method.login(client)
    assert '"auth/team/approle"' in str(caught.value.hint)
    assert "namespace" in str(caught.value.hint)


async def test_a_namespace_that_is_not_there_is_explained(
    client: VaultClient, approle: dict[str, str]
) -> None:
    method = create_method(AppRoleAuth.model_validate({**approle, "namespace": "nowhere"}))

    with pytest.raises(LoginDenied) as caught:
        await method.login(client)
    assert "namespace" in str(caught.value.hint)


async def test_a_missing_id_file_can_still_appear(client: VaultClient, tmp_path: Path) -> None:
    method = create_method(AppRoleAuth(role_id_file=str(tmp_path / "role")))

    with pytest.raises(LoginInputError, match=r"role id file .* No such file") as caught:
        await method.login(client)
    assert caught.value.retryable


# -- token_file ---------------------------------------------------------------------------------


def token_method(path: Path, text: str | bytes) -> AuthMethod:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return create_method(TokenFileAuth(token_file=str(path)))


async def test_a_token_from_a_file_is_looked_up(
    client: VaultClient, server: Server, tmp_path: Path
) -> None:
    token = await server.token(ttl="10m", policies=["default"], meta={"who": "test"})

    auth = await token_method(tmp_path / "token", f"{token}\n").login(client)

    assert auth.client_token == token
    assert 590 <= auth.lease_duration_s <= 600
    assert (auth.renewable, auth.token_type, auth.policies) == (True, "service", ("default",))
    assert auth.accessor
    assert auth.metadata == {"who": "test"}


async def test_a_batch_token_is_known_as_one(
    client: VaultClient, server: Server, tmp_path: Path
) -> None:
    token = await server.token(type="batch", ttl="10m", policies=["default"])

    auth = await token_method(tmp_path / "token", token).login(client)

    assert (auth.renewable, auth.token_type) == (False, "batch")


async def test_a_root_token_never_ends(client: VaultClient, tmp_path: Path) -> None:
    auth = await token_method(tmp_path / "token", ROOT_TOKEN).login(client)

    assert (auth.lease_duration_s, auth.renewable) == (0, False)


async def test_the_token_file_is_read_at_every_login(
    client: VaultClient, server: Server, tmp_path: Path
) -> None:
    method = token_method(tmp_path / "token", ROOT_TOKEN)
    await method.login(client)
    new = await server.token(ttl="10m")
    (tmp_path / "token").write_text(new)

    assert (await method.login(client)).client_token == new


async def test_a_token_that_is_not_valid_is_explained_and_not_shown(
    client: VaultClient, tmp_path: Path
) -> None:
    method = token_method(tmp_path / "token", "hvs.canary")

    with pytest.raises(LoginDenied) as caught:
        await method.login(client)
    assert f'the token in "{tmp_path}/token"' in str(caught.value)
    assert "not valid" in str(caught.value)
    assert "auth.token_file" in str(caught.value.hint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ('{"token": "canary"}', "holds something else"),
        ("canary\ncanary", "holds something else"),
        (b"canary\xff", "holds something else"),
        ("c" * 100_000, "holds something else"),
    ],
    ids=["empty", "blank", "json", "lines", "binary", "long"],
)
async def test_a_file_that_holds_no_token_is_not_sent(
    client: VaultClient, tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(LoginInputError, match=said) as caught:
        await token_method(tmp_path / "token", content).login(client)
    assert "canary" not in str(caught.value)
    assert client.clock_offset_s is None


async def test_a_vault_that_is_away_is_not_a_denial(tmp_path: Path) -> None:
    away = VaultClient(VaultSection(address="http://127.0.0.1:1"))

    with pytest.raises(VaultUnavailable):
        await token_method(tmp_path / "token", "hvs.token").login(away)
    await away.close()
