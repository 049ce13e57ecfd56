"""The client of Vault's API: the only door to Vault."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from leasekeeper.errors import (
    SecretNotFound,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.runtime.clock import now
from leasekeeper.settings.model import VaultSection
from leasekeeper.telemetry.metrics import VAULT_REQUEST_SECONDS, VAULT_REQUESTS
from leasekeeper.vault.reachability import Reachability
from leasekeeper.vault.response import AuthData, VaultResponse, WrapInfo
from leasekeeper.vault.transport import GATEWAY_STATUSES, Reply, Transport

# Vault Enterprise answers 412 while a replica has not caught up: the same request works soon.
_LATER_STATUSES = frozenset({412, 429})


@dataclass(frozen=True, slots=True)
class Mount:
    """A secrets engine: where it is mounted (``secret/``) and which one it is."""

    path: str
    engine: str
    version: int

    @property
    def is_kv2(self) -> bool:
        """Whether paths need ``data/`` and ``metadata/`` inserted."""
        return self.engine == "kv" and self.version == 2


class VaultClient:
    """Asks Vault. Every method raises only errors of the `VaultError` family.

    VaultUnavailable: no answer, or none that says anything about the request (5xx, 429, 412).
    VaultDenied: 403. SecretNotFound: 404. VaultRejected: any other status from 400.

    *token_serial* counts the tokens set by `use_token`; refusals carry it.
    """

    def __init__(
        self,
        settings: VaultSection,
        rng: random.Random | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or Transport(settings)
        self.reachability = Reachability(self._ask_health, rng or random.Random())  # noqa: S311
        self.token_serial = 0

    @property
    def clock_offset_s(self) -> float | None:
        """Vault's ``Date`` header minus our clock, of the newest answer, in seconds."""
        return self._transport.clock_offset_s

    def use_token(self, token: str | None, serial: int) -> None:
        """Send *token* from now on; None sends none."""
        self._transport.token = token
        self.token_serial = serial

    # -- tokens ---------------------------------------------------------------------------------

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        """Log in at ``auth/<mount>/login``, without a token."""
        path = f"auth/{mount.strip('/').removeprefix('auth/')}/login"
        headers = {"X-Vault-Token": ""}
        if namespace is not None:
            headers["X-Vault-Namespace"] = namespace
        return await self._call("login", "POST", path, dict(body), headers)

    async def lookup_token(self, token: str | None = None) -> VaultResponse:
        """Look up *token*, or the token in use."""
        headers = {} if token is None else {"X-Vault-Token": token}
        path = "auth/token/lookup-self"
        return await self._call("lookup_token", "GET", path, headers=headers)

    async def renew_token(self, increment_s: float) -> VaultResponse:
        """Renew the token in use, asking for *increment_s* seconds."""
        body = {"increment": f"{round(increment_s)}s"}
        return await self._call("renew_token", "POST", "auth/token/renew-self", body)

    async def revoke_token(self) -> None:
        """Revoke the token in use, and with it every lease that it created."""
        sent = self._rare.auth.token.revoke_self()
        await self._answer("revoke_token", "auth/token/revoke-self", sent)

    # -- secrets --------------------------------------------------------------------------------

    async def read(self, path: str) -> VaultResponse:
        """Read *path*, which may carry a query."""
        return await self._call("read", "GET", path)

    async def write(self, path: str, data: Mapping[str, Any]) -> VaultResponse:
        """Write *data* to *path*; the answer may be empty."""
        return await self._call("write", "PUT", path, dict(data))

    async def list(self, path: str) -> VaultResponse:
        """List the keys under *path*."""
        return await self._call("list", "GET", f"{path}?list=true")

    async def mount_of(self, path: str) -> Mount | None:
        """Return the secrets engine that serves *path*.

        None when Vault knows no such mount (404): older servers answer so for every path.
        """
        where = f"sys/internal/ui/mounts/{path}"
        try:
            answer = await self._call("find_mount", "GET", where)
        except SecretNotFound:
            return None
        data = answer.data or {}
        options = data.get("options") or {}
        version = str(options.get("version") or "1") if isinstance(options, dict) else "1"
        engine = str(data.get("type") or "")
        return Mount(str(data.get("path") or ""), engine, 2 if version == "2" else 1)

    # -- leases ---------------------------------------------------------------------------------

    async def renew_lease(self, lease_id: str, increment_s: float) -> VaultResponse:
        """Renew a lease, asking for *increment_s* seconds."""
        body = {"lease_id": lease_id, "increment": round(increment_s)}
        return await self._call("renew_lease", "PUT", "sys/leases/renew", body)

    async def lookup_lease(self, lease_id: str) -> VaultResponse:
        """Look up a lease."""
        body = {"lease_id": lease_id}
        return await self._call("lookup_lease", "PUT", "sys/leases/lookup", body)

    async def revoke_lease(self, lease_id: str) -> None:
        """Revoke a lease."""
        sent = self._rare.sys.revoke_lease(lease_id)
        await self._answer("revoke_lease", "sys/leases/revoke", sent)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    # -- inside ---------------------------------------------------------------------------------

    async def _ask_health(self) -> None:
        # standbyok: a standby forwards requests, so it is as good as the active node.
        path = "sys/health?standbyok=true&perfstandbyok=true"
        with contextlib.suppress(VaultError):  # `reachability` has been told what it means
            headers = {"X-Vault-Token": "", "X-Vault-Namespace": ""}
            await self._call("health", "GET", path, headers=headers)

    @cached_property
    def _rare(self) -> Any:
        from leasekeeper.vault.rare import rare_api

        return rare_api(self._transport)

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> VaultResponse:
        sent = self._transport.send(method, f"/v1/{path}", headers or {}, body)
        return await self._answer(operation, path, sent)

    async def _answer(self, operation: str, path: str, sent: Awaitable[Reply]) -> VaultResponse:
        path = path.removesuffix("?list=true")
        serial, started = self.token_serial, now()
        try:
            reply = await sent
            _raise_for_status(reply, operation, path, serial)
        except VaultError as error:
            error.operation, error.path = operation, path
            self._note(error)
            VAULT_REQUESTS.labels(operation, _result(error)).inc()
            raise
        finally:
            VAULT_REQUEST_SECONDS.labels(operation).observe(now() - started)
        self.reachability.seen()
        VAULT_REQUESTS.labels(operation, "ok").inc()
        return _response(reply.body)

    def _note(self, error: VaultError) -> None:
        if isinstance(error, VaultUnavailable) and error.unreachable:
            self.reachability.lost(error)
        else:
            self.reachability.seen()


def _result(error: VaultError) -> str:
    match error:
        case VaultUnavailable():
            return "unavailable"
        case VaultDenied():
            return "denied"
        case SecretNotFound():
            return "not_found"
    return "rejected"


def _raise_for_status(reply: Reply, operation: str, path: str, serial: int) -> None:
    status = reply.status
    if status < 400:
        return
    said = "; ".join(reply.errors)
    message = f"{operation.replace('_', ' ')} {path!r}: {status}" + (f" {said}" if said else "")
    details: dict[str, Any] = {"status": status, "errors": reply.errors}
    if status == 403:
        denied = VaultDenied(message, **details)
        denied.token_serial = serial
        raise denied
    if status == 404:
        raise SecretNotFound(_missing(reply, operation, path), **details)
    if status >= 500 or status in _LATER_STATUSES:
        raise _unavailable(reply, message, details)
    raise VaultRejected(message, **details)


def _unavailable(reply: Reply, message: str, details: dict[str, Any]) -> VaultUnavailable:
    hint = None
    if any("sealed" in said for said in reply.errors):
        hint = "Vault is sealed: an operator has to unseal it"
    error = VaultUnavailable(message, hint=hint, **details)
    error.unreachable = reply.status in GATEWAY_STATUSES
    pause = reply.headers.get("Retry-After", "")
    if pause.isascii() and pause.isdigit():
        error.retry_after_s = min(float(pause), 300.0)
    return error


def _missing(reply: Reply, operation: str, path: str) -> str:
    data = reply.body.get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    if isinstance(metadata, dict):
        gone = "was destroyed" if metadata.get("destroyed") else "was deleted"
        return f"version {metadata.get('version')} of {path!r} {gone}"
    if operation == "read":
        return f"no secret exists at {path!r}"
    return f"{operation.replace('_', ' ')} {path!r}: there is nothing at this path"


def _response(body: dict[str, Any]) -> VaultResponse:
    auth, wrap, data = body.get("auth"), body.get("wrap_info"), body.get("data")
    return VaultResponse(
        request_id=str(body.get("request_id") or ""),
        lease_id=str(body.get("lease_id") or ""),
        lease_duration_s=whole(body.get("lease_duration")),
        renewable=bool(body.get("renewable")),
        data=data if isinstance(data, dict) else None,
        warnings=tuple(str(item) for item in body.get("warnings") or ()),
        auth=_auth(auth) if isinstance(auth, dict) else None,
        wrap_info=_wrap(wrap) if isinstance(wrap, dict) else None,
    )


def _auth(auth: dict[str, Any]) -> AuthData:
    return AuthData(
        client_token=str(auth.get("client_token") or ""),
        accessor=str(auth.get("accessor") or ""),
        policies=tuple(map(str, auth.get("policies") or ())),
        token_policies=tuple(map(str, auth.get("token_policies") or ())),
        metadata={str(key): str(value) for key, value in (auth.get("metadata") or {}).items()},
        lease_duration_s=whole(auth.get("lease_duration")),
        renewable=bool(auth.get("renewable")),
        token_type=str(auth.get("token_type") or "service"),
        entity_id=str(auth.get("entity_id") or ""),
    )


def _wrap(wrap: dict[str, Any]) -> WrapInfo:
    return WrapInfo(
        token=str(wrap.get("token") or ""),
        accessor=str(wrap.get("accessor") or ""),
        ttl_s=whole(wrap.get("ttl")),
        creation_time=str(wrap.get("creation_time") or ""),
        creation_path=str(wrap.get("creation_path") or ""),
        wrapped_accessor=str(wrap.get("wrapped_accessor") or ""),
    )


def whole(value: object) -> int:
    """Return a JSON number as an integer; anything that is not one counts as 0."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return 0
