"""What the IAM login sends, and how it deals with clocks, refusals and who it is."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from leasekeeper.aws.credentials import AwsCredentials, CredentialSource
from leasekeeper.errors import LoginDenied, VaultRejected, VaultUnavailable
from leasekeeper.settings.model import AwsIamAuth
from leasekeeper.tokens.methods.aws_iam import AwsIamMethod
from leasekeeper.vault.response import AuthData, VaultResponse
from tests.captured_logs import LoggedEvent, capture_logs

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
ROLE_ARN = "arn:aws:iam::123456789012:role/task-role"
TOO_OLD = "Signature expired: 20260131T120000Z is now earlier than 20260131T130000Z"


class Vault:
    """Answers logins with what is in `answers`, one after the other, and keeps what was sent."""

    def __init__(self, *answers: AuthData | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, dict[str, str], str | None]] = []
        self.clock_offset_s: float | None = None
        self.measures_s: float | None = 0.0

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        self.sent.append((mount, dict(body), namespace))
        self.clock_offset_s = self.measures_s
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return VaultResponse(auth=answer)

    async def lookup_token(self, token: str) -> VaultResponse:
        raise NotImplementedError

    def headers(self, number: int = 0) -> dict[str, list[str]]:
        decoded: dict[str, list[str]] = json.loads(
            b64decode(self.sent[number][1]["iam_request_headers"])
        )
        return decoded

    @property
    def dates(self) -> list[str]:
        return [self.headers(number)["X-Amz-Date"][0] for number in range(len(self.sent))]


class Credentials:
    def __init__(self, role_arn: str | None = ROLE_ARN) -> None:
        self.reads = 0
        self.role_arn = role_arn

    async def load(self) -> AwsCredentials:
        self.reads += 1
        return AwsCredentials(
            access_key="ASIAEXAMPLE",
            secret_key="canary-secret",
            token="canary-token",
            expires_at=NOW + 86400,
            source="container-role",
            role_arn=self.role_arn,
        )


TOKEN = AuthData(client_token="hvs.token", metadata={"account_id": "123456789012"})


def method(credentials: Credentials | None = None, **settings: str) -> AwsIamMethod:
    auth = AwsIamAuth(role="web", sts_region="eu-west-1", **settings)  # type: ignore[arg-type]
    source = CredentialSource((credentials or Credentials()).load, clock=lambda: NOW)
    return AwsIamMethod(auth, source=source, clock=lambda: NOW)


def refusal(said: str) -> VaultRejected:
    return VaultRejected(said, status=400, errors=(said,))


@pytest.fixture(autouse=True)
def events() -> Iterator[list[LoggedEvent]]:
    with capture_logs() as captured:
        yield captured


def named(events: list[LoggedEvent], name: str) -> list[LoggedEvent]:
    return [event for event in events if event["event"] == name]


async def test_the_payload_is_what_vaults_aws_method_expects() -> None:
    vault = Vault(TOKEN)

    auth = await method(server_id="vault.example.com").login(vault)

    assert auth is TOKEN
    ((mount, body, namespace),) = vault.sent
    assert (mount, namespace) == ("aws", None)
    assert set(body) == {
        "role",
        "iam_http_request_method",
        "iam_request_url",
        "iam_request_body",
        "iam_request_headers",
    }
    assert (body["role"], body["iam_http_request_method"]) == ("web", "POST")
    assert b64decode(body["iam_request_url"]) == b"https://sts.eu-west-1.amazonaws.com/"
    assert b64decode(body["iam_request_body"]) == b"Action=GetCallerIdentity&Version=2011-06-15"
    headers = vault.headers()
    assert sorted(headers) == [
        "Authorization",
        "Content-Length",
        "Content-Type",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X-Vault-AWS-IAM-Server-ID",
    ]
    assert all(isinstance(value, list) and len(value) == 1 for value in headers.values())
    assert headers["X-Amz-Date"] == ["20260131T120000Z"]
    assert "x-amz-security-token;x-vault-aws-iam-server-id" in headers["Authorization"][0]


async def test_mount_and_namespace_are_passed_on() -> None:
    vault = Vault(TOKEN)
    login = method(mount="auth/team/aws", namespace="admin")

    await login.login(vault)

    assert (vault.sent[0][0], vault.sent[0][2]) == ("team/aws", "admin")
    assert login.describe() == 'role "web" at "auth/team/aws" in namespace "admin"'


async def test_the_caller_is_logged_once(events: list[LoggedEvent]) -> None:
    vault = Vault(TOKEN, TOKEN)
    login = method()

    await login.login(vault)
    await login.login(vault)

    (event,) = named(events, "auth.caller_identified")
    assert event["arn"] == ROLE_ARN
    assert event["account_id"] == "123456789012"
    assert event["source"] == "container-role"


async def test_the_arn_that_vault_saw_goes_before_the_one_that_ecs_told(
    events: list[LoggedEvent],
) -> None:
    seen = "arn:aws:sts::123456789012:assumed-role/task-role/abc"
    vault = Vault(AuthData(client_token="t", metadata={"client_arn": seen}))

    await method().login(vault)

    assert named(events, "auth.caller_identified")[0]["arn"] == seen


async def test_keys_in_the_settings_sign_the_login(
    monkeypatch: pytest.MonkeyPatch, events: list[LoggedEvent]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    auth = AwsIamAuth(
        role="web",
        access_key="AKIAFIXED",
        secret_key=SecretStr("canary-fixed-key"),
        session_token=SecretStr("canary-fixed-session"),
    )
    vault = Vault(TOKEN)

    await AwsIamMethod(auth, clock=lambda: NOW).login(vault)

    assert "Credential=AKIAFIXED/" in vault.headers()["Authorization"][0]
    assert vault.headers()["X-Amz-Security-Token"] == ["canary-fixed-session"]
    assert "canary" not in f"{events} {auth!r}"


async def test_a_refusal_is_explained_and_has_the_credentials_read_again() -> None:
    vault = Vault(refusal("entry for role web not found"), TOKEN)
    credentials = Credentials()
    login = method(credentials)

    with pytest.raises(LoginDenied, match='no role "web"') as caught:
        await login.login(vault)
    assert ROLE_ARN in caught.value.message
    assert credentials.reads == 1
    await login.login(vault)

    assert credentials.reads == 2


async def test_an_unavailable_vault_is_not_a_denial() -> None:
    vault = Vault(VaultUnavailable("connection refused"))
    credentials = Credentials()

    with pytest.raises(VaultUnavailable):
        await method(credentials).login(vault)
    assert len(vault.sent) == 1


async def test_a_wrong_clock_is_corrected_at_the_first_refusal(
    events: list[LoggedEvent],
) -> None:
    vault = Vault(refusal(TOO_OLD), TOKEN, TOKEN)
    vault.measures_s = 3600.0
    login = method()

    await login.login(vault)
    vault.measures_s = 3599.0
    await login.login(vault)

    assert vault.dates == ["20260131T120000Z", "20260131T130000Z", "20260131T130000Z"]
    (event,) = named(events, "auth.clock_corrected")
    assert event["offset_s"] == 3600


async def test_a_clock_known_to_be_wrong_is_corrected_before_the_login() -> None:
    vault = Vault(TOKEN)
    vault.clock_offset_s = -120.0

    await method().login(vault)

    assert vault.dates == ["20260131T115800Z"]


async def test_a_clock_within_a_minute_is_left_alone() -> None:
    vault = Vault(refusal(TOO_OLD))
    vault.measures_s = 59.0

    with pytest.raises(LoginDenied, match="clock is behind") as caught:
        await method().login(vault)
    assert vault.dates == ["20260131T120000Z"]
    assert "59 s behind Vault's" in str(caught.value.hint)


async def test_a_clock_that_was_set_right_is_believed_again(
    events: list[LoggedEvent],
) -> None:
    vault = Vault(TOKEN, TOKEN)
    vault.clock_offset_s = 600.0
    login = method()
    await login.login(vault)

    await login.login(vault)

    assert vault.dates == ["20260131T121000Z", "20260131T120000Z"]
    assert [event["offset_s"] for event in named(events, "auth.clock_corrected")] == [600, 0]


async def test_a_correction_that_does_not_help_ends_after_two_requests() -> None:
    vault = Vault(refusal(TOO_OLD), refusal(TOO_OLD))
    vault.measures_s = 3600.0

    with pytest.raises(LoginDenied, match="clock is behind"):
        await method().login(vault)
    assert len(vault.sent) == 2


async def test_an_answer_without_a_token_is_a_denial() -> None:
    with pytest.raises(LoginDenied, match="gave no token") as caught:
        await method().login(Vault(AuthData(client_token="")))
    assert "MFA" in str(caught.value.hint)


async def test_nothing_of_the_credentials_is_shown(
    events: list[LoggedEvent],
) -> None:
    login = method()
    with pytest.raises(LoginDenied) as caught:
        await login.login(Vault(refusal("canary-token was refused: canary-secret")))
    await login.close()

    assert "canary" not in f"{events} {login.describe()} {login!r} {caught.value}"
    assert "[redacted] was refused" in caught.value.message
