"""Which secrets engine serves a path, and how KV v2 wants its paths written."""

from __future__ import annotations

import asyncio

from leasekeeper.secrets.request import Operation
from leasekeeper.vault.client import Mount, VaultClient

# The first segments of a KV v2 path that are already part of its API.
_READ_SEGMENTS = ("data/", "metadata/", "subkeys/")


class Mounts:
    """Asks once per mount; a question that failed is asked again, never answered by a guess."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client
        self._known: dict[str, Mount] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, path: str) -> Mount | None:
        """Return the mount of *path*, or None when Vault says that it does not know.

        :raises VaultError: if Vault could not be asked.
        """
        path = path.partition("?")[0]
        # Mounts can be several segments deep, so the first segment only decides who waits.
        async with self._asking.setdefault(path.partition("/")[0], asyncio.Lock()):
            if (mount := self._find(path)) is not None:
                return mount
            mount = await self._client.mount_of(path)
            if mount is not None and mount.path:
                self._known[mount.path] = mount
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
