"""A client beside the program's own, for what a login asks that is not the login itself.

The program's client sends its own token, with its own certificate, to the login path alone.
Unwrapping a secret id takes another token, `cert` another certificate and `ldap` another path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from leasekeeper.errors import ConfigError, LoginInputError
from leasekeeper.vault.client import VaultClient

if TYPE_CHECKING:
    from leasekeeper.settings.model import VaultSection


async def open_client(vault: VaultSection, namespace: str | None) -> VaultClient:
    """Return a client without a token, for *namespace* if that is not None; the caller closes it.

    :raises LoginInputError: if a TLS file cannot be used (yet).
    """
    if namespace is not None:
        vault = vault.model_copy(update={"namespace": namespace})
    try:
        # In a thread: it reads the TLS files.
        return await asyncio.to_thread(VaultClient, vault)
    except ConfigError as error:
        raise LoginInputError("; ".join(error.problems), hint=_AGAIN) from None


_AGAIN = "the files are read again for every try"


@asynccontextmanager
async def own_client(vault: VaultSection, namespace: str | None) -> AsyncIterator[VaultClient]:
    """Yield what `open_client` returns and close it afterwards."""
    client = await open_client(vault, namespace)
    try:
        yield client
    finally:
        await client.close()
