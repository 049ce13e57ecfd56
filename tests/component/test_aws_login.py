"""IAM logins whose signature a real STS (moto, with authentication switched on) verifies."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import aiohttp
import pytest

from leasekeeper.errors import LoginDenied, VaultRejected
from leasekeeper.settings.model import AwsIamAuth
from leasekeeper.tokens.methods.aws_iam import AwsIamMethod
from leasekeeper.vault.response import AuthData, VaultResponse
from tests.captured_logs import capture_logs

ROLE_ARN = "arn:aws:iam::123456789012:role/task-role"


class Moto:
    """A moto server of our own, and the few calls of IAM and STS that a test needs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    async def call(self, service: str, **form: str) -> str:
        # moto finds the service in the scope; while authentication is off, nothing is verified.
        scope = f"Credential=AKIAUNCHECKED/20260101/us-east-1/{service}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=form, headers=headers) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, text
            return text

    async def authentication(self, *, on: bool) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}/moto-api/reset-auth", data="0" if on else "1000000"
            ) as answer,
        ):
            assert answer.status == 200

    async def assume_role(self) -> dict[str, str]:
        """Return new role credentials; authentication is on afterwards."""
        await self.authentication(on=False)
        answer = await self.call(
            "sts", Action="AssumeRole", RoleArn=ROLE_ARN, RoleSessionName="task-id"
        )
        await self.authentication(on=True)
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        return {name: re.findall(f"<{name}>(.*?)</{name}>", answer)[0] for name in names}


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "moto has ended"
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.05)
        yield Moto(port)
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture
async def keys(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Role credentials in the environment, and nothing else of AWS there."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    found = await moto.assume_role()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])
    return found


@dataclass
class Vault:
    """Passes the signed request on to STS and judges the answer, like Vault's `aws` method."""

    sts: str
    tamper: dict[str, str] = field(default_factory=dict)
    clock_offset_s: float | None = 0.0
    sts_answer: str = ""

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        assert (mount, namespace) == ("aws", None)
        lists = json.loads(b64decode(body["iam_request_headers"]))
        headers = {name: ",".join(values) for name, values in lists.items()} | self.tamper
        assert b64decode(body["iam_request_url"]).decode() == f"{self.sts}/"
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                body["iam_http_request_method"],
                self.sts,
                data=b64decode(body["iam_request_body"]),
                headers=headers,
            ) as answer,
        ):
            self.sts_answer = await answer.text()
        if answer.status != 200:
            said = f"received error code {answer.status} from STS: {self.sts_answer}"
            errors = (f"error making upstream request: {said}",)
            raise VaultRejected("login", status=400, errors=errors)
        arn = re.findall("<Arn>(.*?)</Arn>", self.sts_answer)[0]
        return VaultResponse(auth=AuthData(client_token="hvs.token", metadata={"client_arn": arn}))

    async def lookup_token(self, token: str) -> VaultResponse:
        raise NotImplementedError


def method(moto: Moto, *, server_id: str | None = None) -> AwsIamMethod:
    return AwsIamMethod(AwsIamAuth(role="web", sts_endpoint=moto.url, server_id=server_id))


@pytest.mark.parametrize("server_id", [None, "vault.example.com"])
async def test_sts_accepts_the_signature_and_names_the_caller(
    moto: Moto, keys: dict[str, str], server_id: str | None
) -> None:
    with capture_logs() as events:
        auth = await method(moto, server_id=server_id).login(Vault(moto.url))

    assert auth.client_token == "hvs.token"
    (event,) = [event for event in events if event["event"] == "auth.caller_identified"]
    assert event["arn"] == "arn:aws:sts::123456789012:assumed-role/task-role/task-id"
    assert keys["SecretAccessKey"] not in str(events)
    assert keys["SessionToken"] not in str(events)


async def test_the_server_id_cannot_be_exchanged(moto: Moto, keys: dict[str, str]) -> None:
    """It is signed, so a login caught by one Vault cannot be replayed at another."""
    vault = Vault(moto.url, tamper={"X-Vault-AWS-IAM-Server-ID": "vault.evil.example"})

    with pytest.raises(LoginDenied, match="STS does not accept the signature"):
        await method(moto, server_id="vault.example.com").login(vault)
    assert "SignatureDoesNotMatch" in vault.sts_answer


async def test_a_wrong_secret_key_is_explained(
    moto: Moto, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(LoginDenied, match="STS does not accept the signature") as caught:
        await method(moto).login(Vault(moto.url))
    assert "the AWS secret key is wrong" in str(caught.value.hint)


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
async def test_credentials_that_sts_does_not_know_are_explained(
    moto: Moto, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "ASIAUNKNOWN")

    with pytest.raises(LoginDenied, match="STS does not know the AWS credentials"):
        await method(moto).login(Vault(moto.url))
