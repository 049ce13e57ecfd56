"""Log in with the identity document of an EC2 instance (Vault's `aws` method, type `ec2`)."""

from __future__ import annotations

import uuid
from base64 import b64encode
from typing import TYPE_CHECKING

from leasekeeper.aws.instance import read_instance_identity
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.denials import LoginContext
from leasekeeper.tokens.methods.common import described, plain_login

if TYPE_CHECKING:
    from leasekeeper.settings.model import AwsEc2Auth
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData


class AwsEc2Method:
    """Sends the document and AWS's signature of it, read anew for every login.

    The nonce is the same for the life of the process: Vault lets an instance log in again only
    with the nonce of its first login.
    """

    name = "aws_ec2"

    def __init__(self, auth: AwsEc2Auth) -> None:
        self._role = auth.role
        self._mount = auth.mount
        self._namespace = auth.namespace
        self._nonce = auth.nonce.get_secret_value() if auth.nonce else str(uuid.uuid4())

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; see `AuthMethod.login`."""
        identity = await read_instance_identity()
        redactor.protect("instance identity", [self._nonce, identity.signature])
        body = {
            "role": self._role,
            "identity": b64encode(identity.document).decode(),
            "signature": identity.signature,
            "nonce": self._nonce,
        }
        context = LoginContext(
            method="aws_ec2",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
            role=self._role,
        )
        return await plain_login(client, context, body)

    def describe(self) -> str:
        """Return the role and where it logs in."""
        return described(f'role "{self._role}"', self._mount, self._namespace)

    async def close(self) -> None:
        """Nothing to let go of."""
