"""A tiny client for administering OpenBao; it never passes the gateway, so it is not counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from leasekeeper.devstack.errors import DevstackError, Refused


class Admin:
    """Speaks to OpenBao with one token in one namespace.

    Paths are relative to `/v1/`. Whoever creates it closes it.
    """

    def __init__(self, address: str, *, token: str = "", namespace: str = "") -> None:
        self.address = address
        self.namespace = namespace
        self.token = token
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        payload: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Send a request and return HTTP's status and the body, whatever they are.

        *headers* go on top of the token and the namespace; an empty value removes a header.

        :raises DevstackError: if there is no answer.
        """
        own = {"X-Vault-Token": self.token, "X-Vault-Namespace": self.namespace}
        sent = {name: value for name, value in {**own, **(headers or {})}.items() if value}
        url = f"{self.address}/v1/{path}"
        try:
            async with self._session.request(method, url, json=payload, headers=sent) as answer:
                # Some answers of OpenBao are empty, whatever their Content-Type says.
                text = await answer.text()
                body = await answer.json(content_type=None) if text.strip() else {}
                return answer.status, body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DevstackError(f"no answer from OpenBao to {method} {path}: {error}") from error

    async def call(
        self, method: str, path: str, payload: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Send a request and return the body.

        :raises Refused: if the status is not 2xx.
        """
        status, body = await self.send(method, path, payload)
        if status >= 300:
            reasons = "; ".join(body.get("errors") or ()) or f"status {status}"
            raise Refused(f"{method} {path}: {reasons}", status=status)
        return body

    async def read(self, path: str) -> dict[str, Any]:
        """Return the `data` at *path*."""
        data: dict[str, Any] = (await self.call("GET", path))["data"]
        return data

    async def write(self, path: str, **fields: object) -> dict[str, Any]:
        """Write *fields* to *path* and return the body."""
        return await self.call("POST", path, fields)

    async def list(self, path: str) -> list[str]:
        """Return the keys below *path*; nothing there is an empty list."""
        try:
            keys: list[str] = (await self.call("LIST", path))["data"]["keys"]
        except Refused as error:
            if error.status == 404:
                return []
            raise
        return keys

    async def delete(self, path: str) -> None:
        """Delete what is at *path*."""
        await self.call("DELETE", path)

    async def enable(self, kind: str, path: str, engine: str, **fields: object) -> None:
        """Enable the engine or auth method *engine* at *path*; *kind* is `mounts` or `auth`."""
        await self.write(f"sys/{kind}/{path}", type=engine, **fields)
