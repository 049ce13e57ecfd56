"""IAM logins at the gateway: right ones are let in, wrong ones hear what Vault would say."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from leasekeeper.devstack.iam_login import LoginRefused, parse_caller
from leasekeeper.devstack.product_setup import TokenRules
from leasekeeper.devstack.sts import AwsCredentials, Sts
from tests.world import SharedWorld, world

__all__ = ["world"]

SERVER_ID = "vault.example.com"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"
MISMATCH = "The request signature we calculated does not match"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Makes the payload of a login; every field can be made wrong."""

    keys: AwsCredentials
    url: str
    role: str = "learn-product-api"
    region: str = "us-east-1"
    method: str = "POST"
    body: str = BODY
    headers: dict[str, str] | None = None

    def signed(self) -> dict[str, str]:
        content_type = "application/x-www-form-urlencoded; charset=utf-8"
        headers = {"Content-Type": content_type, **(self.headers or {})}
        request = AWSRequest("POST", self.url, data=self.body, headers=headers)
        keys = self.keys
        credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        SigV4Auth(credentials, "sts", self.region).add_auth(request)
        return dict(request.headers.items())

    def payload(self, **changed_headers: str) -> dict[str, Any]:
        headers = {**self.signed(), **changed_headers}
        return {
            "role": self.role,
            "iam_http_request_method": self.method,
            "iam_request_url": b64(self.url),
            "iam_request_body": b64(self.body),
            "iam_request_headers": b64(json.dumps({k: [v] for k, v in headers.items()})),
        }


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class LoginClient:
    """Sends logins to the gateway."""

    world: SharedWorld
    session: aiohttp.ClientSession
    signer: Signer

    async def send(
        self, payload: object, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        url = f"{self.world.parts.address}/v1/auth/aws/login"
        async with self.session.put(url, json=payload, headers=headers) as answer:
            return answer.status, await answer.json()

    async def refusal(self, payload: object) -> str:
        """Return the one sentence with which a login is refused."""
        status, body = await self.send(payload)
        assert status == 400
        (sentence,) = body["errors"]
        return str(sentence)


@pytest.fixture
async def client(world: SharedWorld) -> AsyncIterator[LoginClient]:
    keys = await world.run(world.parts.ecs.credentials())
    async with aiohttp.ClientSession() as session:
        yield LoginClient(world, session, Signer(keys=keys, url=world.parts.sts.url + "/"))


async def test_a_signed_login_gets_a_token_with_the_policies_and_the_life_of_the_role(
    client: LoginClient,
) -> None:
    status, body = await client.send(client.signer.payload())

    assert status == 200
    auth = body["auth"]
    assert auth["policies"] == ["default", "product"]
    assert (auth["lease_duration"], auth["renewable"]) == (3600, True)
    assert auth["metadata"]["auth_type"] == "iam"
    assert auth["metadata"]["account_id"] == "123456789012"
    creds = client.world.parts.creds_path
    url = f"{client.world.parts.address}/v1/{creds}"
    async with client.session.get(url, headers={"X-Vault-Token": auth["client_token"]}) as answer:
        assert answer.status == 200


async def test_a_token_ends_with_the_max_ttl_of_its_role_whatever_is_renewed(
    client: LoginClient,
) -> None:
    parts = client.world.parts
    short = TokenRules(ttl_s=20, max_ttl_s=45)
    arn = "arn:aws:iam::123456789012:role/learn-product-api"
    await client.world.run(parts.bind_role("short", tokens=short, arns=[arn]))

    _, body = await client.send(replace(client.signer, role="short").payload())

    token = {"X-Vault-Token": body["auth"]["client_token"]}
    assert body["auth"]["lease_duration"] == 20
    url = f"{parts.address}/v1/auth/token/renew-self"
    async with client.session.post(url, json={"increment": 600}, headers=token) as answer:
        renewed = await answer.json()
    assert renewed["auth"]["lease_duration"] <= 45
    async with client.session.get(
        f"{parts.address}/v1/auth/token/lookup-self", headers=token
    ) as answer:
        looked_up = (await answer.json())["data"]
    assert looked_up["explicit_max_ttl"] == 0, "the limit is the role's, as with Vault"
    assert looked_up["path"] == "auth/aws/login"


@pytest.mark.parametrize("host", ["sts.amazonaws.com", "sts.us-east-1.amazonaws.com"])
async def test_a_login_may_be_signed_for_the_real_names_of_sts(
    client: LoginClient, host: str
) -> None:
    status, _ = await client.send(replace(client.signer, url=f"https://{host}/").payload())

    assert status == 200


async def test_a_login_without_a_role_uses_the_role_named_like_the_iam_role(
    client: LoginClient,
) -> None:
    payload = client.signer.payload()
    del payload["role"]

    status, _ = await client.send(payload)

    assert status == 200


async def test_headers_may_come_as_a_plain_object(client: LoginClient) -> None:
    payload = client.signer.payload()
    payload["iam_request_headers"] = client.signer.signed()

    status, _ = await client.send(payload)

    assert status == 200


async def test_a_login_answer_can_be_wrapped(client: LoginClient) -> None:
    status, body = await client.send(client.signer.payload(), {"X-Vault-Wrap-TTL": "60"})

    assert status == 200
    assert body["auth"] is None
    assert body["wrap_info"]["creation_path"] == "auth/aws/login"


async def test_a_wrong_secret_key_is_refused_by_sts(client: LoginClient) -> None:
    wrong = replace(client.signer.keys, secret_access_key="x" * 40)

    sentence = await client.refusal(replace(client.signer, keys=wrong).payload())

    assert sentence.startswith("error making upstream request: received error code 403 from STS:")
    assert "<Code>SignatureDoesNotMatch</Code>" in sentence


async def test_a_wrong_session_token_is_refused_by_sts(client: LoginClient) -> None:
    wrong = replace(client.signer.keys, session_token="forged")

    sentence = await client.refusal(replace(client.signer, keys=wrong).payload())

    assert "received error code 403 from STS" in sentence
    assert "InvalidClientTokenId" in sentence


async def test_an_unsigned_session_token_is_refused_by_sts(client: LoginClient) -> None:
    bare = replace(client.signer.keys, session_token=None)

    sentence = await client.refusal(replace(client.signer, keys=bare).payload())

    assert "received error code 403 from STS" in sentence


async def test_a_changed_signed_header_is_refused_by_sts(client: LoginClient) -> None:
    signer = replace(client.signer, headers={"X-Vault-AWS-IAM-Server-ID": SERVER_ID})

    sentence = await client.refusal(signer.payload(**{"X-Vault-AWS-IAM-Server-ID": "other"}))

    assert "<Code>SignatureDoesNotMatch</Code>" in sentence


async def test_a_foreign_region_is_refused_in_the_words_of_sts(client: LoginClient) -> None:
    signer = replace(client.signer, region="eu-west-1", url="https://sts.eu-west-1.amazonaws.com/")

    sentence = await client.refusal(signer.payload())

    assert "Credential should be scoped to a valid region, not 'eu-west-1'" in sentence


async def test_a_foreign_host_is_refused(client: LoginClient) -> None:
    sentence = await client.refusal(
        replace(client.signer, url="https://sts.example.com/").payload()
    )

    assert MISMATCH in sentence


async def test_an_ended_session_is_refused(client: LoginClient) -> None:
    sts = client.world.parts.sts
    ended = await client.world.run(sts.assume_role("learn-product-api", session="s", ttl_s=-1))

    sentence = await client.refusal(replace(client.signer, keys=ended).payload())

    assert "<Code>ExpiredToken</Code>" in sentence


@pytest.mark.parametrize(
    ("minutes", "words"), [(20, "Signature expired: "), (-20, "Signature not yet current: ")]
)
async def test_a_skewed_clock_is_refused_and_shows_in_the_date_header(
    client: LoginClient, minutes: int, words: str
) -> None:
    gateway = client.world.parts.gateway
    gateway.clock_offset_s = minutes * 60
    try:
        assert words in await client.refusal(client.signer.payload())
        async with client.session.get(f"{gateway.address}/v1/sys/health") as answer:
            date = parsedate_to_datetime(answer.headers["Date"])
    finally:
        gateway.clock_offset_s = 0

    offset = date - datetime.now(UTC)
    assert abs(offset - timedelta(minutes=minutes)) < timedelta(seconds=5)


async def test_a_principal_that_is_not_bound_is_refused(client: LoginClient) -> None:
    sts = client.world.parts.sts
    user = replace(client.signer, keys=sts.user)

    sentence = await client.refusal(user.payload())

    arn = "arn:aws:iam::123456789012:user/administrator"
    assert sentence == f'IAM Principal "{arn}" does not belong to the role "learn-product-api"'


async def test_an_unknown_role_is_refused(client: LoginClient) -> None:
    sentence = await client.refusal(replace(client.signer, role="nobody").payload())

    assert sentence == "entry for role nobody not found"


async def test_roles_can_be_bound_with_a_wildcard(client: LoginClient) -> None:
    parts = client.world.parts
    await client.world.run(parts.bind_role("wild", arns=["arn:aws:iam::123456789012:role/learn-*"]))

    status, _ = await client.send(replace(client.signer, role="wild").payload())

    assert status == 200


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "iam_http_request_method",
            "GET",
            "invalid iam_http_request_method; currently only 'POST' is supported",
        ),
        ("iam_http_request_method", "", "missing iam_http_request_method"),
        ("iam_request_url", "%%%", "failed to base64 decode iam_request_url"),
        ("iam_request_url", b64("https://sts.amazonaws.com/?Action=x"), "invalid request"),
        ("iam_request_url", b64("https://[bad"), "error parsing iam_request_url"),
        ("iam_request_body", b64("Action=AssumeRole"), "iam request body is invalid"),
        ("iam_request_body", b64(BODY + "&RoleArn=x"), "iam request body is invalid"),
        ("iam_request_body", "", "missing iam_request_body"),
        ("iam_request_headers", b64("{}"), "missing iam_request_headers"),
    ],
)
async def test_a_malformed_login_is_refused_in_the_words_of_vault(
    client: LoginClient, field: str, value: str, sentence: str
) -> None:
    assert await client.refusal({**client.signer.payload(), field: value}) == sentence


@pytest.mark.parametrize("missing", ["iam_request_url", "iam_request_headers"])
async def test_an_incomplete_login_is_refused(client: LoginClient, missing: str) -> None:
    payload = client.signer.payload()
    del payload[missing]

    assert await client.refusal(payload) == "didn't supply required authentication values"


async def test_unknown_amazon_headers_are_refused(client: LoginClient) -> None:
    sentence = await client.refusal(client.signer.payload(**{"X-Amz-Meta-Thing": "1"}))

    assert sentence == "invalid request header: X-Amz-Meta-Thing"


@pytest.fixture
def server_id(world: SharedWorld) -> Any:
    """Ask logins for a server id during one test."""
    logins = world.parts.gateway.logins
    logins.server_id = SERVER_ID
    yield SERVER_ID
    logins.server_id = None


async def test_a_signed_server_id_is_taken(client: LoginClient, server_id: str) -> None:
    signer = replace(client.signer, headers={"X-Vault-AWS-IAM-Server-ID": server_id})

    status, _ = await client.send(signer.payload())

    assert status == 200


async def test_a_missing_server_id_is_refused(client: LoginClient, server_id: str) -> None:
    assert await client.refusal(client.signer.payload()) == (
        "error validating X-Vault-AWS-IAM-Server-ID header: "
        'missing header "X-Vault-AWS-IAM-Server-ID"'
    )


async def test_another_server_id_is_refused(client: LoginClient, server_id: str) -> None:
    signer = replace(client.signer, headers={"X-Vault-AWS-IAM-Server-ID": "other"})

    assert await client.refusal(signer.payload()) == (
        "error validating X-Vault-AWS-IAM-Server-ID header: "
        'expected "vault.example.com" but got "other"'
    )


async def test_an_unsigned_server_id_is_refused(client: LoginClient, server_id: str) -> None:
    payload = client.signer.payload(**{"X-Vault-AWS-IAM-Server-ID": server_id})

    assert await client.refusal(payload) == (
        "error validating X-Vault-AWS-IAM-Server-ID header: vault header wasn't signed"
    )


@pytest.mark.parametrize(
    ("arn", "canonical"),
    [
        (
            "arn:aws:sts::1:assumed-role/task/session",
            "arn:aws:iam::1:role/task",
        ),
        ("arn:aws-cn:iam::1:user/path/of/anna", "arn:aws-cn:iam::1:user/anna"),
    ],
)
def test_an_arn_is_reduced_to_what_roles_are_bound_to(arn: str, canonical: str) -> None:
    assert parse_caller(arn).canonical_arn == canonical


def test_an_arn_of_something_else_is_refused() -> None:
    with pytest.raises(LoginRefused, match="unrecognized principal type"):
        parse_caller("arn:aws:sts::1:federated-user/anna")


def test_the_global_name_of_sts_belongs_to_one_region(world: SharedWorld) -> None:
    parts = world.parts
    frankfurt = Sts(parts.processes, parts.directory, port=1, region="eu-central-1")

    assert "sts.amazonaws.com" in parts.sts.hosts
    assert "sts.amazonaws.com" not in frankfurt.hosts
