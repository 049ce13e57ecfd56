"""Log in with the task's IAM role (Vault's `aws` method, type `iam`).

We sign a GetCallerIdentity request and send it to Vault, which sends it to STS and learns from the
answer who signed it. AWS is never called from here.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from leasekeeper.aws.chain import find_source
from leasekeeper.aws.credentials import AwsCredentials, CredentialSource, Load
from leasekeeper.aws.sts import SignedRequest, sign_get_caller_identity, sts_endpoint
from leasekeeper.errors import LoginDenied
from leasekeeper.telemetry.events import log
from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.common import described, token_of

if TYPE_CHECKING:
    from leasekeeper.settings.model import AwsIamAuth
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData

# STS accepts 15 minutes (5 in places); a smaller difference is the network's, or a second's
# rounding, and correcting it would only blur the signature's date.
CLOCK_TOLERANCE_S = 60.0


class AwsIamMethod:
    """Signs and sends. *source* and *clock* (Unix time) are for tests."""

    name = "aws_iam"

    def __init__(
        self,
        auth: AwsIamAuth,
        *,
        source: CredentialSource | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._role = auth.role
        self._mount = auth.mount
        self._namespace = auth.namespace
        self._server_id = auth.server_id
        self._endpoint = sts_endpoint(auth.sts_region, auth.sts_endpoint)
        self._wall_clock = clock
        self._correction_s = 0.0
        self._source = source or CredentialSource(
            _fixed(auth) or find_source(auth.profile, self._endpoint.region), clock=self._clock
        )
        self._caller: tuple[str | None, ...] = ()

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; see `AuthMethod.login`.

        A refusal tells Vault's time as well. If that shows that our clock is wrong, a second
        request is signed by Vault's clock at once.
        """
        self._follow_clock(client)
        try:
            return await self._attempt(client)
        except LoginDenied:
            if not self._follow_clock(client):
                raise
        return await self._attempt(client)

    def describe(self) -> str:
        """Return the role and where it logs in."""
        return described(f'role "{self._role}"', self._mount, self._namespace)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _attempt(self, client: LoginClient) -> AuthData:
        credentials = await self._source.get()
        context = self._context(credentials)
        signed = sign_get_caller_identity(
            credentials, self._endpoint, at=self._clock(), server_id=self._server_id
        )
        body = login_body(self._role, signed)
        try:
            with refusals_explained(client, context):
                response = await client.login(self._mount, body, namespace=self._namespace)
        except LoginDenied:
            self._source.doubt()
            raise
        auth = token_of(response, context)
        self._note_caller(auth, credentials)
        return auth

    def _clock(self) -> float:
        return self._wall_clock() + self._correction_s

    def _follow_clock(self, client: LoginClient) -> bool:
        """Correct our clock by what Vault's newest answer showed; True if that changed it."""
        offset = client.clock_offset_s
        if offset is None:
            return False
        correction = offset if abs(offset) > CLOCK_TOLERANCE_S else 0.0
        if abs(correction - self._correction_s) <= CLOCK_TOLERANCE_S:
            return False
        self._correction_s = correction
        log.warning(
            "auth.clock_corrected",
            offset_s=round(correction),
            hint="logins are signed by Vault's clock; set the clock of the host by NTP",
        )
        return True

    def _note_caller(self, auth: AuthData, credentials: AwsCredentials) -> None:
        """Say once who we are to Vault: the first thing to compare when a role does not match.

        Vault tells the ARN only if the mount's `iam_metadata` asks for it; ECS tells the role's.
        """
        said = auth.metadata
        arn = said.get("client_arn") or said.get("canonical_arn") or credentials.role_arn
        caller = (arn, said.get("account_id"), credentials.source)
        if caller != self._caller:
            self._caller = caller
            log.info(
                "auth.caller_identified",
                arn=arn,
                account_id=said.get("account_id"),
                source=credentials.source,
                sts_region=self._endpoint.region,
            )

    def _context(self, credentials: AwsCredentials) -> LoginContext:
        return LoginContext(
            method="aws_iam",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
            role=self._role,
            sts_region=self._endpoint.region,
            sts_host=self._endpoint.host,
            server_id=self._server_id or "",
            caller=credentials.role_arn or "",
        )


def _fixed(auth: AwsIamAuth) -> Load | None:
    """Return what reads the credentials in the settings, if there are any."""
    if auth.access_key is None or auth.secret_key is None:
        return None
    credentials = AwsCredentials(
        access_key=auth.access_key,
        secret_key=auth.secret_key.get_secret_value(),
        token=auth.session_token.get_secret_value() if auth.session_token else None,
        source="settings",
    )

    async def load() -> AwsCredentials:
        return credentials

    return load


def login_body(role: str, signed: SignedRequest) -> dict[str, str]:
    """Return *signed* the way Vault's `aws` method takes it: base64, each header a list."""
    headers = {name: [value] for name, value in signed.headers.items()}
    return {
        "role": role,
        "iam_http_request_method": signed.method,
        "iam_request_url": _base64(signed.url),
        "iam_request_body": _base64(signed.body),
        "iam_request_headers": _base64(json.dumps(headers)),
    }


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
