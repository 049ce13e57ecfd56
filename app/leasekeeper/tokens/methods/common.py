"""What the auth methods share."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiofiles

from leasekeeper.errors import LoginDenied, LoginInputError
from leasekeeper.tokens.denials import LoginContext, refusals_explained

if TYPE_CHECKING:
    from leasekeeper.tokens.method import LoginClient
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


async def plain_login(
    client: LoginClient, context: LoginContext, body: Mapping[str, str]
) -> AuthData:
    """Send *body* to the login of the mount in *context*; see `AuthMethod.login`."""
    with refusals_explained(client, context):
        response = await client.login(context.mount, body, namespace=context.namespace)
    return token_of(response, context)


async def read_word(path: str, what: str) -> str:
    """Return the one word in the file at *path*, without white space around it.

    :raises LoginInputError: if there is none; *what* says what was looked for.
    """
    text = await read_line(path, what)
    if not text.isprintable() or " " in text:
        raise _something_else(path, what)
    return text


async def read_line(path: str, what: str) -> str:
    """Return the one line in the file at *path*, without white space around it.

    :raises LoginInputError: if there is none; *what* says what was looked for.
    """
    try:
        async with aiofiles.open(path, encoding="utf-8", opener=_open_regular) as file:
            text = (await file.read(MAX_FILE_CHARACTERS + 1)).strip()
    except OSError as error:
        why = _NOT_REGULAR if error.errno == errno.ENOTSUP else error.strerror
        raise LoginInputError(
            f"the {what} file {path!r} cannot be read: {why}",
            hint="it is read again for every try; check the path and the file's owner and mode",
        ) from error
    except UnicodeDecodeError:
        raise _something_else(path, what) from None  # the cause holds the content
    if not text:
        raise LoginInputError(f"the {what} file {path!r} is empty", hint=_ONE_VALUE)
    if len(text) > MAX_FILE_CHARACTERS or len(text.splitlines()) > 1 or "\0" in text:
        raise _something_else(path, what)
    return text


_ONE_VALUE = "the file has to hold the value alone, as plain text; it is read again for every try"
_NOT_REGULAR = "it is not a regular file"


def _something_else(path: str, what: str) -> LoginInputError:
    return LoginInputError(f"the {what} file {path!r} holds something else", hint=_ONE_VALUE)


def _open_regular(path: str, flags: int) -> int:
    """Open *path* unless it is a pipe or a device, which could keep the reader waiting for ever."""
    file = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.ENOTSUP, _NOT_REGULAR)
    return file
