"""Log in with a user name and a password (Vault's `ldap` method, and others like it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.common import described, read_line, token_of
from leasekeeper.tokens.methods.credential_file import CredentialFile, Removal
from leasekeeper.tokens.methods.own_client import own_client

if TYPE_CHECKING:
    from leasekeeper.settings.model import LdapAuth, VaultSection
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData


class LdapMethod:
    """Sends the password to the user's own path, over a connection of its own to *vault*."""

    name = "ldap"

    def __init__(self, auth: LdapAuth, vault: VaultSection) -> None:
        self._username = auth.username
        self._mount = auth.mount
        self._namespace = auth.namespace
        self._vault = vault
        removal = None
        if auth.remove_password_after_reading:
            removal = Removal(through_links=auth.remove_password_follows_symlinks)
        self._file = CredentialFile(
            "password", auth.password_file_path, removal=removal, extract=read_line
        )

    async def login(self, client: LoginClient) -> AuthData:  # noqa: ARG002 - the port's
        """Log in once; see `AuthMethod.login`."""
        body = {"password": await self._file.read()}
        context = LoginContext(
            method="ldap",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
        )
        path = f"auth/{self._mount}/login/{self._username}"
        async with own_client(self._vault, self._namespace) as own:
            with refusals_explained(own, context):
                response = await own.write(path, body)
        return token_of(response, context)

    def describe(self) -> str:
        """Return the user and where it logs in."""
        return described(f'user "{self._username}"', self._mount, self._namespace)

    async def close(self) -> None:
        """Nothing to let go of."""
