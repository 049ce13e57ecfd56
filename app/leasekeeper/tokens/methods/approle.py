"""Log in with a role id and a secret id (Vault's `approle` method)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.denials import LoginContext
from leasekeeper.tokens.methods.common import described, plain_login
from leasekeeper.tokens.methods.credential_file import CredentialFile, Removal

if TYPE_CHECKING:
    from leasekeeper.settings.model import AppRoleAuth, VaultSection
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData


class AppRoleMethod:
    """Sends the ids. Files are read at every login; the last good value outlives its file.

    *vault* says where a wrapped secret id is unwrapped.
    """

    name = "approle"

    def __init__(self, auth: AppRoleAuth, vault: VaultSection) -> None:
        self._namespace = auth.namespace
        self._mount = auth.mount
        self._role_id = auth.role_id
        self._role_id_file = CredentialFile("role id", auth.role_id_file or "")
        self._secret_id = auth.secret_id.get_secret_value() if auth.secret_id else ""
        self._secret_id_file = _secret_id_file(auth, vault)

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; see `AuthMethod.login`."""
        body = {"role_id": self._role_id or await self._role_id_file.read()}
        if self._secret_id_file is not None:
            body["secret_id"] = await self._secret_id_file.read()
        elif self._secret_id:
            redactor.protect("secret id", [self._secret_id])
            body["secret_id"] = self._secret_id
        context = LoginContext(
            method="approle",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
        )
        return await plain_login(client, context, body)

    def describe(self) -> str:
        """Return where the login happens; the role id is half of a password."""
        return described("an AppRole", self._mount, self._namespace)

    async def close(self) -> None:
        """Nothing to let go of."""


def _secret_id_file(auth: AppRoleAuth, vault: VaultSection) -> CredentialFile | None:
    if auth.secret_id_file is None:
        return None
    wrapped_by, unwrap = auth.secret_id_response_wrapping_path, None
    if wrapped_by is not None:
        from leasekeeper.tokens.methods.wrapped_secret_id import unwrap_secret_id

        unwrap = partial(
            unwrap_secret_id,
            made_by=wrapped_by,
            vault=vault,
            mount=auth.mount,
            namespace=auth.namespace,
        )
    return CredentialFile(
        "secret id",
        auth.secret_id_file,
        removal=Removal() if auth.remove_secret_id_file_after_reading else None,
        unwrap=unwrap,
    )
