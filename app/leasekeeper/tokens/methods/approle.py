"""Log in with a role id and a secret id (Vault's `approle` method)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.errors import LoginInputError
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.common import described, read_word, token_of

if TYPE_CHECKING:
    from leasekeeper.settings.model import AppRoleAuth
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.response import AuthData


class AppRoleMethod:
    """Sends the ids. Files are read at every login; the last good value outlives its file."""

    name = "approle"

    def __init__(self, auth: AppRoleAuth) -> None:
        secret_id = auth.secret_id.get_secret_value() if auth.secret_id else None
        self._namespace = auth.namespace
        self._mount = auth.mount
        self._role_id = _Word("role id", auth.role_id, auth.role_id_file)
        self._secret_id = _Word("secret id", secret_id, auth.secret_id_file)

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; see `AuthMethod.login`."""
        body = {"role_id": await self._role_id.read()}
        if secret_id := await self._secret_id.read():
            redactor.protect("secret id", [secret_id])
            body["secret_id"] = secret_id
        context = LoginContext(
            method="approle",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
        )
        with refusals_explained(client, context):
            response = await client.login(self._mount, body, namespace=self._namespace)
        return token_of(response, context)

    def describe(self) -> str:
        """Return where the login happens; the role id is half of a password."""
        return described("an AppRole", self._mount, self._namespace)

    async def close(self) -> None:
        """Nothing to let go of."""


class _Word:
    """A value from the settings, or from a file that may be removed after its first reading."""

    def __init__(self, what: str, value: str | None, path: str | None) -> None:
        self._what = what
        self._path = path
        self._last = value or ""

    async def read(self) -> str:
        """Return the value, or an empty string if neither value nor file was given."""
        if self._path is None:
            return self._last
        try:
            self._last = await read_word(self._path, self._what)
        except LoginInputError as error:
            if not self._last:
                raise
            log.debug("auth.file_gone", error=error.message)
        return self._last
