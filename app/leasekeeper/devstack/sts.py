"""AWS as far as a login needs it: moto's STS and IAM, with signatures verified.

moto takes any account, date, region and host. What it does not look at, and AWS does, is in
`objection`, which the gateway asks before it forwards a login.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import aiohttp

from leasekeeper.devstack.errors import DevstackError, Refused, missing
from leasekeeper.devstack.processes import Child, Processes

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = "123456789012"
API_VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
# STS refuses signatures that are older, or from further in the future.
SIGNATURE_AGE = timedelta(minutes=15)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """Keys of a user, or of a role's session; those end at *expires_at*."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """STS says no before it has even looked at the signature."""

    status: int = 403
    code: str
    message: str

    def xml(self) -> str:
        """Return the body of the answer as STS writes it."""
        return (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n'
            f"    <Type>Sender</Type>\n    <Code>{self.code}</Code>\n"
            f"    <Message>{self.message}</Message>\n  </Error>\n</ErrorResponse>\n"
        )


class Sts:
    """moto's server and the principals of the local world.

    `user` is an administrator with long-lived keys; task roles are made with `create_role` and
    used through `assume_role`, as ECS does for a task.
    """

    def __init__(
        self,
        processes: Processes,
        directory: Path,
        *,
        port: int,
        region: str,
        listen: str = "127.0.0.1",
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.region = region
        self._port = port
        self._listen = listen
        self._processes = processes
        self._directory = directory
        self._child: Child | None = None
        self._session: aiohttp.ClientSession | None = None
        self._user = AwsCredentials(access_key_id="AKIAUNVERIFIED", secret_access_key="none")
        self._ends: dict[str, datetime] = {}

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that a login may be signed for: our own address and AWS's names for us.

        AWS's global name belongs to us-east-1; signed for another region it is refused.
        """
        names = {self.url.removeprefix("http://"), f"sts.{self.region}.amazonaws.com"}
        return frozenset(names | ({"sts.amazonaws.com"} if self.region == "us-east-1" else set()))

    @property
    def user(self) -> AwsCredentials:
        """Keys of the IAM user `administrator`, who may do everything."""
        return self._user

    async def start(self) -> None:
        """Start moto, create the administrator and switch the verification of signatures on.

        :raises DevstackError: if moto is not installed or does not start.
        """
        if not all(importlib.util.find_spec(name) for name in ("moto", "flask", "flask_cors")):
            raise missing("moto's server")
        log = self._directory / "moto.log"
        self._child = self._processes.start(
            "moto",
            [sys.executable, "-m", "moto.server", "-H", self._listen, "-p", str(self._port)],
            env=self._processes.environment(self._directory),
            log=log,
        )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        await self._child.until(self._answers)
        await self._create_administrator()

    async def _answers(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/moto-api/") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _create_administrator(self) -> None:
        await self.call("iam", "CreateUser", UserName="administrator")
        keys = await self.call("iam", "CreateAccessKey", UserName="administrator")
        await self.call(
            "iam",
            "PutUserPolicy",
            UserName="administrator",
            PolicyName="everything",
            PolicyDocument=_policy("*"),
        )
        self._user = AwsCredentials(
            access_key_id=_text(keys, "AccessKeyId"),
            secret_access_key=_text(keys, "SecretAccessKey"),
        )
        # From the 0th request on, that is: from now on.
        async with self._http.post(f"{self.url}/moto-api/reset-auth", data="0") as answer:
            answer.raise_for_status()

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise DevstackError("STS has not been started")
        return self._session

    async def call(self, service: str, action: str, **parameters: str) -> ET.Element:
        """Send a signed request of the administrator and return the answer's XML.

        :raises Refused: if the status is not 200.
        """
        form = {"Action": action, "Version": API_VERSIONS[service], **parameters}
        body = urlencode(form).encode()
        headers = self._signed(service, body)
        async with self._http.post(self.url, data=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise Refused(f"{service}:{action} was refused: {text}", status=answer.status)
            return ET.fromstring(text)

    def _signed(self, service: str, body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = Credentials(self._user.access_key_id, self._user.secret_access_key)
        headers = {"Content-Type": CONTENT_TYPE}
        request = AWSRequest("POST", self.url + "/", headers=headers, data=body)
        SigV4Auth(keys, service, self.region).add_auth(request)
        return dict(request.headers.items())

    async def create_role(self, name: str) -> str:
        """Create an IAM role that ECS tasks and our administrator may assume; return its ARN."""
        trusted = {"Service": "ecs-tasks.amazonaws.com", "AWS": "*"}
        trust = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        answer = await self.call(
            "iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=document
        )
        return _text(answer, "Arn")

    async def assume_role(self, role: str, *, session: str, ttl_s: float) -> AwsCredentials:
        """Return new credentials of the IAM role called *role*, which end after *ttl_s* seconds.

        AWS allows no less than 15 minutes. Shorter lives are kept by `objection`.
        """
        answer = await self.call(
            "sts",
            "AssumeRole",
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            RoleSessionName=session,
            DurationSeconds=str(max(900, int(ttl_s))),
        )
        credentials = AwsCredentials(
            access_key_id=_text(answer, "AccessKeyId"),
            secret_access_key=_text(answer, "SecretAccessKey"),
            session_token=_text(answer, "SessionToken"),
            expires_at=datetime.now(UTC) + timedelta(seconds=ttl_s),
        )
        assert credentials.expires_at is not None
        self._ends[credentials.access_key_id] = credentials.expires_at
        return credentials

    def objection(
        self, host: str, headers: Mapping[str, str], *, now: datetime
    ) -> Objection | None:
        """Return why AWS would refuse at *now* a request that moto would take, or None.

        That is: a foreign host or region, a signature older than 15 minutes or from the future,
        a session that has ended.
        """
        authorization = headers.get("Authorization", "")
        scope = re.search(r"Credential=([^/,]+)/[^/]+/([^/]+)/", authorization)
        if scope is None:
            message = "Request is missing Authentication Token"
            return Objection(code="MissingAuthenticationToken", message=message)
        key, region = scope.groups()
        if region != self.region:
            message = f"Credential should be scoped to a valid region, not '{region}'. "
            return Objection(code="SignatureDoesNotMatch", message=message)
        if host not in self.hosts:
            return Objection(code="SignatureDoesNotMatch", message=MISMATCH)
        if (end := self._ends.get(key)) is not None and end <= now:
            message = "The security token included in the request is expired"
            return Objection(code="ExpiredToken", message=message)
        return _too_old(headers.get("X-Amz-Date", ""), now)

    async def close(self) -> None:
        """End moto."""
        if self._session is not None:
            await self._session.close()
        if self._child is not None:
            await self._child.stop()


def _too_old(amz_date: str, now: datetime) -> Objection | None:
    try:
        signed = datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        message = f"Date must be in ISO-8601 'basic format'. Got '{amz_date}'."
        return Objection(status=400, code="IncompleteSignature", message=message)

    def text(at: datetime) -> str:
        return at.strftime("%Y%m%dT%H%M%SZ")

    if signed < now - SIGNATURE_AGE:
        message = (
            f"Signature expired: {text(signed)} is now earlier than {text(now - SIGNATURE_AGE)} "
            f"({text(now)} - 15 min.)"
        )
        return Objection(code="SignatureDoesNotMatch", message=message)
    if signed > now + SIGNATURE_AGE:
        message = (
            f"Signature not yet current: {text(signed)} is still later than "
            f"{text(now + SIGNATURE_AGE)} ({text(now)} + 15 min.)"
        )
        return Objection(code="SignatureDoesNotMatch", message=message)
    return None


def _policy(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _text(answer: ET.Element, name: str) -> str:
    """Return the text of the first element called *name*, whatever its namespace."""
    for element in answer.iter():
        if element.tag.rpartition("}")[2] == name and element.text:
            return element.text
    raise DevstackError(f"STS answered without {name}")
