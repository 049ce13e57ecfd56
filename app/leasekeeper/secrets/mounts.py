"""Which secrets engine serves a path, and how KV v2 wants its paths written."""

from __future__ import annotations

import asyncio
import math

from leasekeeper.errors import VaultError, VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import Operation
from leasekeeper.vault.client import Mount, VaultClient

# The first segments of a KV v2 path that are already part of its API.
_READ_SEGMENTS = ("data/", "metadata/", "subkeys/")
# What was learnt less than this ago is not asked again, however many secrets are missing.
_FRESH_S = 60.0


class Mounts:
    """Asks once per mount; a question that failed is asked again, never answered by a guess."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client
        self._known: dict[str, Mount] = {}
        self._asked_at: dict[str, float] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, path: str) -> Mount | None:
        """Return the mount of *path*, or None when Vault says that it does not know.

        :raises VaultError: if Vault could not be asked.
        """
        path = path.partition("?")[0]
        async with self._lock(path):
            mount = self._find(path)
            return mount if mount is not None else await self._ask(path)

    async def again(self, path: str) -> Mount | None:
        """Return the mount of *path* as it is now: something that should be there is not.

        KV 1 may have been upgraded to version 2, or another engine mounted in its place.

        :raises VaultUnavailable: if Vault could not be asked.
        """
        path = path.partition("?")[0]
        async with self._lock(path):
            mount = self._find(path)
            if mount is None or now() - self._asked_at.get(mount.path, -math.inf) < _FRESH_S:
                return mount
            self._asked_at[mount.path] = now()
            try:
                found = await self._ask(path)
            except VaultUnavailable:
                raise
            except VaultError:
                return mount  # no news
            return found or mount

    def _lock(self, path: str) -> asyncio.Lock:
        # Mounts can be several segments deep, so the first segment only decides who waits.
        return self._asking.setdefault(path.partition("/")[0], asyncio.Lock())

    async def _ask(self, path: str) -> Mount | None:
        mount = await self._client.mount_of(path)
        if mount is not None and mount.path:
            self._known[mount.path] = mount
            self._asked_at[mount.path] = now()
        return mount

    def _find(self, path: str) -> Mount | None:
        best: Mount | None = None
        for prefix, mount in self._known.items():
            longer = best is None or len(prefix) > len(best.path)
            if f"{path}/".startswith(prefix) and longer:
                best = mount
        return best


def api_path(mount: Mount | None, operation: Operation, path: str) -> str:
    """Return *path* as the API wants it: KV v2 needs ``data/`` or ``metadata/`` inserted.

    As in Vault Agent: a path that already has its API segment is left alone, so a key that is
    really called ``data/x`` has to be written ``data/data/x``.
    """
    if mount is None or not mount.is_kv2:
        return path
    bare, mark, query = path.partition("?")
    rest = f"{bare}/".removeprefix(mount.path).strip("/")
    known = ("metadata/",) if operation is Operation.LIST else _READ_SEGMENTS
    if f"{rest}/".startswith(known):
        return path
    segment = "metadata" if operation is Operation.LIST else "data"
    return f"{mount.path}{segment}/{rest}".rstrip("/") + mark + query
