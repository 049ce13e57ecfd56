"""Log in with a signed token from a file (Vault's `jwt` and `kubernetes` methods)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings.model import JwtAuth
from leasekeeper.tokens.denials import LoginContext
from leasekeeper.tokens.methods.common import described, plain_login
from leasekeeper.tokens.methods.credential_file import CredentialFile, Removal

if TYPE_CHECKING:
    from leasekeeper.settings.model import KubernetesAuth
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData


class JwtMethod:
    """Sends what is in the file, for both methods: they differ in what Vault does with it."""

    def __init__(self, auth: JwtAuth | KubernetesAuth) -> None:
        self.name = auth.method
        self._role = auth.role
        self._mount = auth.mount
        self._namespace = auth.namespace
        self._file = _jwt_file(auth)

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; see `AuthMethod.login`."""
        body = {"role": self._role, "jwt": await self._file.read()}
        context = LoginContext(
            method=self.name,
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


def _jwt_file(auth: JwtAuth | KubernetesAuth) -> CredentialFile:
    if not isinstance(auth, JwtAuth):
        return CredentialFile("service account token", auth.token_path)
    removal = None
    if auth.remove_jwt_after_reading:
        removal = Removal(through_links=auth.remove_jwt_follows_symlinks)
    return CredentialFile("JWT", auth.path, removal=removal)
