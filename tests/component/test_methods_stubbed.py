"""Logins that no server within reach can judge (`ldap`, `aws` of type ec2): what is on the wire."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from leasekeeper.errors import AwsCredentialsError, LoginDenied, VaultUnavailable
from leasekeeper.settings.model import AwsEc2Auth, LdapAuth, VaultSection
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient
from tests.fakes.wire import Request, Wire, http, refusal, serving

LOGGED_IN = http(200, {"request_id": "r", "auth": {"client_token": "hvs.token"}})
DOCUMENT = b'{\n  "instanceId" : "i-0123456789abcdef0",\n  "region" : "eu-west-1"\n}'
SIGNATURE = "c2lnbmF0dXJlLW9m\nLXRoZS1kb2N1bWVu\ndA=="


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def vault() -> AsyncIterator[Wire]:
    async with serving(LOGGED_IN) as wire:
        yield wire


@pytest.fixture
async def client(vault: Wire) -> AsyncIterator[VaultClient]:
    talking = VaultClient(VaultSection(address=vault.address))
    talking.use_token("hvs.of-the-last-login", 1)
    yield talking
    await talking.close()


def body(request: Request) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(request.body)
    return decoded


# -- ldap -----------------------------------------------------------------------------------------


def ldap(tmp_path: Path, vault: Wire, **keys: Any) -> LdapAuth:
    (tmp_path / "password").write_text("correct horse\n")
    return LdapAuth(username="bob smith", password_file_path=str(tmp_path / "password"), **keys)


async def test_an_ldap_login_goes_to_the_users_own_path_without_a_token(
    vault: Wire, client: VaultClient, tmp_path: Path
) -> None:
    auth = ldap(tmp_path, vault, namespace="team")
    section = VaultSection(address=vault.address, namespace="admin")

    assert (await create_method(auth, section).login(client)).client_token == "hvs.token"

    (request,) = vault.requests
    assert request.target == "/v1/auth/ldap/login/bob%20smith"
    assert body(request) == {"password": "correct horse"}
    assert request.headers["x-vault-namespace"] == "team"
    assert "x-vault-token" not in request.headers


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("ldap operation failed: failed to bind as user", "user name or the password is wrong"),
        ("ldap operation failed", "user name or the password is wrong"),
        ("user is not a member of any authorized group", "no policy is given"),
        ("ldap backend not configured", "is not configured"),
    ],
)
async def test_an_ldap_refusal_is_explained(
    vault: Wire, client: VaultClient, tmp_path: Path, said: str, meaning: str
) -> None:
    vault.script = lambda _: refusal(400, said)
    method = create_method(ldap(tmp_path, vault), VaultSection(address=vault.address))

    with pytest.raises(LoginDenied, match=meaning):
        await method.login(client)


async def test_an_ldap_server_that_is_away_is_no_denial(
    vault: Wire, client: VaultClient, tmp_path: Path
) -> None:
    said = 'unable to connect to LDAP server: LDAP Result Code 200 "Network Error"'
    vault.script = lambda _: refusal(400, f"ldap operation failed: {said}")
    method = create_method(ldap(tmp_path, vault), VaultSection(address=vault.address))

    with pytest.raises(VaultUnavailable, match="could not reach the LDAP server"):
        await method.login(client)


# -- aws ec2 --------------------------------------------------------------------------------------


class Instance:
    """The metadata service of an instance; *sessions* says whether it insists on them."""

    def __init__(self, *, put_status: int = 200, sessions: bool = True) -> None:
        self.put_status = put_status
        self.sessions = sessions

    def __call__(self, request: Request) -> bytes:
        if (request.method, request.target) == ("PUT", "/latest/api/token"):
            assert 1 <= int(request.headers["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
            return http(self.put_status, b"the-session", kind="text/plain")
        if self.sessions and request.headers.get("x-aws-ec2-metadata-token") != "the-session":
            return http(401)
        name = request.target.removeprefix("/latest/dynamic/instance-identity/")
        found = {"document": DOCUMENT, "signature": SIGNATURE.encode()}.get(name)
        return http(404) if found is None else http(200, found, kind="text/plain")


@pytest.fixture
async def instance(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    async with serving(Instance()) as wire:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{wire.address}/")
        yield wire


@pytest.mark.usefixtures("instance")
async def test_an_instance_sends_its_document_and_the_signature(
    vault: Wire, client: VaultClient
) -> None:
    await create_method(AwsEc2Auth(role="web", mount="ec2")).login(client)

    (request,) = vault.requests
    assert request.target == "/v1/auth/ec2/login"
    sent = body(request)
    assert set(sent) == {"role", "identity", "signature", "nonce"}
    assert b64decode(sent["identity"]) == DOCUMENT
    assert sent["signature"] == SIGNATURE.replace("\n", "")
    assert sent["role"] == "web"


async def test_the_nonce_is_the_same_for_a_process_and_read_documents_are_new(
    vault: Wire, client: VaultClient, instance: Wire
) -> None:
    method = create_method(AwsEc2Auth(role="web"))
    await method.login(client)
    await method.login(client)
    await create_method(AwsEc2Auth(role="web")).login(client)

    nonces = [body(request)["nonce"] for request in vault.requests]
    assert nonces[0] == nonces[1] != nonces[2]
    assert len(nonces[0]) >= 32
    assert len(instance.requests) == 9


@pytest.mark.usefixtures("instance")
async def test_a_nonce_that_is_given_is_sent(vault: Wire, client: VaultClient) -> None:
    auth = AwsEc2Auth(role="web", nonce=SecretStr("canary-nonce"))

    await create_method(auth).login(client)

    assert body(vault.requests[0])["nonce"] == "canary-nonce"
    assert "canary" not in repr(auth)


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_an_instance_without_sessions_is_asked_without_one(
    vault: Wire, client: VaultClient, instance: Wire, status: int
) -> None:
    instance.script = Instance(put_status=status, sessions=False)

    await create_method(AwsEc2Auth(role="web")).login(client)

    assert len(vault.requests) == 1


@pytest.mark.parametrize(
    ("variable", "put_status"),
    [
        ("AWS_EC2_METADATA_DISABLED", 200),
        ("AWS_EC2_METADATA_V1_DISABLED", 404),
    ],
)
async def test_what_is_switched_off_is_not_asked(
    vault: Wire,
    client: VaultClient,
    instance: Wire,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    put_status: int,
) -> None:
    monkeypatch.setenv(variable, "true")
    instance.script = Instance(put_status=put_status, sessions=False)

    with pytest.raises(AwsCredentialsError):
        await create_method(AwsEc2Auth(role="web")).login(client)
    assert [r.target for r in instance.requests if "identity" in r.target] == []
    assert vault.requests == []


async def test_a_machine_that_is_no_instance_is_told_so(
    vault: Wire, client: VaultClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")

    with pytest.raises(AwsCredentialsError, match="identity document") as caught:
        await create_method(AwsEc2Auth(role="web")).login(client)
    assert caught.value.retryable
    assert "Fargate" in str(caught.value.hint)


@pytest.mark.usefixtures("instance")
@pytest.mark.parametrize(
    ("said", "meaning", "mend"),
    [
        ("client nonce mismatch", "with another nonce", "auth.nonce"),
        ("reauthentication is disabled", "only once", "disallow_reauthentication=false"),
        (
            'AMI ID "ami-1" does not belong to role "web"',
            "the AMI ID of the instance is not one",
            "auth/aws/role/web",
        ),
        ("auth method ec2 not allowed for role web", "not for EC2 logins", "auth_type=ec2"),
        ('entry for role "web" not found', 'no role "web"', "auth.role"),
    ],
)
async def test_a_refused_instance_is_explained(
    vault: Wire, client: VaultClient, said: str, meaning: str, mend: str
) -> None:
    vault.script = lambda _: refusal(400, said)

    with pytest.raises(LoginDenied, match=meaning) as caught:
        await create_method(AwsEc2Auth(role="web")).login(client)
    assert mend in str(caught.value.hint)
