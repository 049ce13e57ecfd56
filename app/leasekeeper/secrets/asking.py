"""Sending one request to Vault: the right path for its engine, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from time import time

from leasekeeper.errors import SecretNotFound
from leasekeeper.secrets.mounts import Mounts, api_path
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.vault.client import Mount, VaultClient
from leasekeeper.vault.response import VaultResponse
from leasekeeper.vault.transport import Manner


async def ask(
    client: VaultClient,
    mounts: Mounts,
    request: SecretRequest,
    mount: Mount | None,
    manner: Manner,
    *,
    empty_versions: bool = False,
) -> tuple[VaultResponse, int]:
    """Return the answer of *mount*, and the number of the token that asked.

    With *empty_versions* a destroyed version of KV 2 is an answer without data, as it is for Vault
    Agent.

    :raises VaultError: if there is none.
    """
    try:
        return await _ask_at(mount, client, request, manner)
    except SecretNotFound as error:
        if empty_versions and (kept := destroyed(error.metadata)) is not None:
            return kept, client.token_serial
        if (mount_now := await mounts.again(request.path)) != mount:
            return await _ask_at(mount_now, client, request, manner)
        if request.operation is not Operation.LIST:
            raise
    return VaultResponse(data={"keys": []}), client.token_serial


def may_mint(mount: Mount | None, request: SecretRequest) -> bool:
    """Whether *request* may make Vault create something: anything but lists and KV may."""
    kv = mount is not None and mount.engine in ("kv", "generic")
    return not kv and request.operation is not Operation.LIST


async def _ask_at(
    mount: Mount | None, client: VaultClient, request: SecretRequest, manner: Manner
) -> tuple[VaultResponse, int]:
    path = api_path(mount, request.operation, request.path)
    # What may mint is never sent twice: the answer may be lost, and the lease made.
    manner = replace(manner, repeatable=not may_mint(mount, request))
    # Nothing is awaited between this line and the request's headers.
    serial = client.token_serial
    match request.operation:
        case Operation.READ:
            response = await client.read(path, manner)
            if mount is not None and mount.is_kv2:
                check_deletion(response, path)
            return response, serial
        case Operation.WRITE:
            arguments = dict(request.arguments)
            kv2 = mount is not None and mount.is_kv2
            body = {"data": arguments} if kv2 else arguments
            # A write changes Vault, whatever is mounted there.
            return await client.write(path, body, replace(manner, repeatable=False)), serial
    return await client.list(path), serial


def destroyed(metadata: Mapping[str, object] | None) -> VaultResponse | None:
    """Return the answer for a version with *metadata* that has been destroyed, or None.

    One that was deleted, before or not, is a missing secret for Vault Agent too.
    """
    if metadata is None or metadata.get("deletion_time"):
        return None
    return VaultResponse(data={"data": None, "metadata": dict(metadata)})


def check_deletion(response: VaultResponse, path: str) -> None:
    """Refuse a version that has been deleted but is still answered, as Vault Agent does.

    :raises SecretNotFound: if so.
    """
    metadata = (response.data or {}).get("metadata")
    deleted = metadata.get("deletion_time") if isinstance(metadata, dict) else None
    if not isinstance(deleted, str) or not deleted:
        return
    try:
        gone = datetime.fromisoformat(deleted).timestamp() < time()
    except ValueError:
        return
    if gone:
        error = SecretNotFound(
            f"no secret exists at {path}: it was deleted at {deleted}", operation="read", path=path
        )
        error.code = "LK-SECRET-003"
        raise error
