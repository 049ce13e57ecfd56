"""Take a secret id out of its response-wrapping token, which works once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.errors import LoginDenied
from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.own_client import own_client

if TYPE_CHECKING:
    from leasekeeper.settings.model import VaultSection


async def unwrap_secret_id(
    token: str, *, made_by: str, vault: VaultSection, mount: str, namespace: str | None
) -> str:
    """Return the secret id in the wrapping token *token*, which is used up then.

    The path that made the token is looked at first: somebody who has taken the real secret id can
    put another one into a new token, but only Vault says where a token comes from.

    :raises LoginDenied: if Vault does not know the token, it was made by another path than
        *made_by*, or there is no secret id in it.
    :raises VaultUnavailable: if Vault could not answer. The token may be used up then.
    """
    context = LoginContext(
        method="approle", login="unwrapping of the secret id", mount=mount, namespace=namespace
    )
    async with own_client(vault, namespace) as client:
        with refusals_explained(client, context):
            found = await client.write("sys/wrapping/lookup", {"token": token})
            _check(str((found.data or {}).get("creation_path")), made_by)
            client.use_token(token, 0)
            answer = await client.write("sys/wrapping/unwrap", {})
    secret_id = (answer.data or {}).get("secret_id")
    if not isinstance(secret_id, str) or not secret_id:
        raise LoginDenied(
            f'there is no secret id in the wrapping token that "{made_by}" made',
            hint="auth.secret_id_response_wrapping_path has to end in /secret-id",
        )
    return secret_id


def _check(path: str, expected: str) -> None:
    if path != expected:
        raise LoginDenied(
            f'the wrapping token of the secret id was made by "{path}", not by "{expected}"',
            hint="find out who wrote it before anything else: whoever takes the real secret id "
            "can leave another one behind. If it is right, correct "
            "auth.secret_id_response_wrapping_path",
        )
