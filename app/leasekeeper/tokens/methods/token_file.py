"""Use a token that something else writes to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.common import read_word
from leasekeeper.vault.response import AuthData

if TYPE_CHECKING:
    from leasekeeper.settings.model import TokenFileAuth
    from leasekeeper.tokens.method import LoginClient


class TokenFileMethod:
    """Reads the file at every login and asks Vault what the token in it is worth."""

    name = "token_file"

    def __init__(self, auth: TokenFileAuth) -> None:
        self._path = auth.token_file

    async def login(self, client: LoginClient) -> AuthData:
        """Return the token now in the file; see `AuthMethod.login`."""
        token = await read_word(self._path, "token")
        redactor.protect("token file", [token])
        context = LoginContext(
            method="token_file", login=f"login with {self.describe()}", mount="token"
        )
        with refusals_explained(client, context):
            response = await client.lookup_token(token)
        return _auth_data(token, response.data or {})

    def describe(self) -> str:
        """Return which file is read."""
        return f'the token in "{self._path}"'

    async def close(self) -> None:
        """Nothing to let go of."""


def _auth_data(token: str, found: dict[str, Any]) -> AuthData:
    """Return what a lookup says in the shape of a login.

    A root token has a duration of 0. So has a token in its last second, which has an end, though.
    """
    metadata = found.get("meta")
    policies = tuple(map(str, found.get("policies") or ()))
    return AuthData(
        client_token=token,
        accessor=str(found.get("accessor") or ""),
        policies=policies + tuple(map(str, found.get("identity_policies") or ())),
        token_policies=policies,
        metadata={str(k): str(v) for k, v in metadata.items()}
        if isinstance(metadata, dict)
        else {},
        lease_duration_s=_whole(found.get("ttl")) or (1 if found.get("expire_time") else 0),
        renewable=found.get("renewable") is True,
        token_type=str(found.get("type") or "service"),
        entity_id=str(found.get("entity_id") or ""),
    )


def _whole(number: object) -> int:
    try:
        return int(float(str(number)))
    except (ValueError, OverflowError):
        return 0
