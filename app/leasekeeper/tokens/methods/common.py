"""What the auth methods share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiofiles

from leasekeeper.errors import LoginDenied, LoginInputError

if TYPE_CHECKING:
    from leasekeeper.tokens.denials import LoginContext
    from leasekeeper.vault.response import AuthData, VaultResponse

# Ids and tokens are at most a few KiB (batch tokens); a longer file is a wrong file.
MAX_FILE_CHARACTERS = 64 * 1024


def described(who: str, mount: str, namespace: str | None) -> str:
    """Return ``WHO at "auth/MOUNT"``, with the namespace if there is one."""
    where = f'{who} at "auth/{mount}"'
    return f'{where} in namespace "{namespace}"' if namespace else where


def token_of(response: VaultResponse, context: LoginContext) -> AuthData:
    """Return the token of a login's answer.

    :raises LoginDenied: if the answer holds none: Vault asks for a second factor first.
    """
    if response.auth is None or not response.auth.client_token:
        raise LoginDenied(
            f"Vault accepted the {context.login} but gave no token",
            hint="a login MFA enforcement covers this auth method (`vault list "
            "identity/mfa/login-enforcement`); exempt it, for nobody is here to confirm",
        )
    return response.auth


async def read_word(path: str, what: str) -> str:
    """Return the one word in the file at *path*, without white space around it.

    :raises LoginInputError: if there is none; *what* says what was looked for.
    """
    try:
        async with aiofiles.open(path, encoding="utf-8") as file:
            text = (await file.read(MAX_FILE_CHARACTERS + 1)).strip()
    except OSError as error:
        raise LoginInputError(
            f"the {what} file {path!r} cannot be read: {error.strerror}",
            hint="it is read again for every try; check the path and the file's owner and mode",
        ) from error
    except UnicodeDecodeError:
        text = "\0"
    if not text:
        raise LoginInputError(f"the {what} file {path!r} is empty", hint=_ONE_WORD)
    if len(text) > MAX_FILE_CHARACTERS or not text.isprintable() or " " in text:
        raise LoginInputError(f"the {what} file {path!r} holds something else", hint=_ONE_WORD)
    return text


_ONE_WORD = "the file has to hold the value alone, as plain text; it is read again for every try"
