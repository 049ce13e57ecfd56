"""The client of Vault's API: the only door to Vault."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
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
from leasekeeper.telemetry.spans import span
from leasekeeper.vault.decoding import BadAnswer, check_keys, response_of, secret_of
from leasekeeper.vault.decoding import whole as whole
from leasekeeper.vault.reachability import Reachability
from leasekeeper.vault.refusals import raise_for_status
from leasekeeper.vault.response import AuthData, VaultResponse, WrapInfo
from leasekeeper.vault.transport import SLOW_S, Manner, Reply, Transport, Urgency

# Mounted by Vault itself, and never a KV engine: there is nothing to ask about them.
_BUILT_IN = ("auth/", "cubbyhole/", "identity/", "sys/")
# Operations that templates ask for; what else is asked gets along with half an answer.
_SECRETS = frozenset({"read", "write", "list"})
# A server that is there answers sys/health at once, so a short wait finds its return early.
# On a connection of its own, because those that others use may be dead.
_HEALTH = Manner(limit_s=5.0, alone=True)
_TOKEN = Manner(urgency=Urgency.TOKEN)
_TOKEN_AGAIN = Manner(urgency=Urgency.TOKEN, repeatable=True)
# Vault answers these out of its own memory.
_QUICK_S = 10.0
# Behind a login there may be STS, a directory or a cluster. A login that was lost on its way must
# not use up what is left of the old token, so the first is given little time and the next more.
_LOGIN_S = 5.0
_ORDINARY = Manner()
_AGAIN = Manner(repeatable=True)
_MOUNT = Manner(repeatable=True, limit_s=_QUICK_S)
# Nobody waits for a probe, and one that hangs keeps the next from finding out.
_PROBE = Manner(urgency=Urgency.PROBE, repeatable=True, limit_s=_QUICK_S)
_RENEWAL = Manner(urgency=Urgency.EXPIRING, repeatable=True)
# Pauses before a request is sent again to a replica that has not caught up (412), in seconds; at
# None it is given up.
_CATCHING_UP_S = (0.05, 0.1, 0.2, 0.4, 0.8, None)
# sys/health of a disaster recovery secondary, which serves nobody until it is promoted.
_DR_SECONDARY = 472
_REMEMBERED_LATENCIES = 40


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

    VaultUnavailable: no answer, or none that says anything about the request (5xx, 429, 412, and
    whatever a proxy answers in Vault's place). VaultDenied: 403. SecretNotFound: 404, or an answer
    with nothing in it. VaultRejected: any other status from 400, or an answer beyond all limits.

    No error quotes what was sent, a live secret, or an answer to `login`.

    *token_serial* counts the tokens set by `use_token`; refusals carry it. With *wrap_logins_s*
    the answer to a login is wrapped for so many seconds.

    :raises ConfigError: on construction, if a TLS file cannot be used.
    """

    def __init__(
        self,
        settings: VaultSection,
        rng: random.Random | None = None,
        transport: Transport | None = None,
        *,
        wrap_logins_s: float = 0.0,
    ) -> None:
        self._transport = transport or Transport(settings)
        self._transport.on_slow = self._note_slow
        self.reachability = Reachability(self._ask_health, rng or random.Random())  # noqa: S311
        self.reachability.on_return(self._start_over)
        self.token_serial = 0
        self._unanswered_logins = 0
        self._wrap_logins_s = wrap_logins_s
        self.latencies_s: deque[float] = deque(maxlen=_REMEMBERED_LATENCIES)
        """How long the newest answers took, sys/health left out."""

    @property
    def address(self) -> str:
        """Scheme, host and port of Vault, as configured."""
        return self._transport.address

    @property
    def clock_offset_s(self) -> float | None:
        """Vault's ``Date`` header minus our clock, of the newest answer, in seconds."""
        return self._transport.clock_offset_s

    def before_sending(self, look: Callable[[], None]) -> None:
        """Call *look* before each request."""
        self._transport.on_send = look

    def on_token_use(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the token in use is sent."""
        self._transport.on_token_use = listener

    def use_token(self, token: str | None, serial: int) -> None:
        """Send *token* from now on; None sends none."""
        self._transport.token = token
        self.token_serial = serial

    # -- tokens ---------------------------------------------------------------------------------

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        """Log in at ``auth/<mount>/login``, without a token.

        What Vault says to a refusal is in ``.errors`` alone: it may quote what was sent.
        """
        path = f"auth/{mount.strip('/').removeprefix('auth/')}/login"
        headers = {"X-Vault-Token": ""}
        if namespace is not None:
            headers["X-Vault-Namespace"] = namespace
        needs = ("auth",)
        if self._wrap_logins_s:
            headers["X-Vault-Wrap-TTL"], needs = f"{round(self._wrap_logins_s)}s", ("wrap_info",)
        limit_s = _LOGIN_S * 2.0 ** min(self._unanswered_logins, 16)
        manner = replace(_TOKEN, limit_s=limit_s)
        try:
            answer = await self._call(
                "login", "POST", path, dict(body), headers, needs=needs, manner=manner
            )
        except VaultUnavailable as error:
            self._unanswered_logins += not (error.status or error.interrupted)
            raise
        self._unanswered_logins = 0
        if (info := answer.wrap_info) is not None and self._wrap_logins_s:
            auth = AuthData(client_token=info.token, accessor=info.accessor, wrapping=info)
            return replace(answer, auth=auth)
        return answer

    def _start_over(self) -> None:
        self._unanswered_logins = 0

    async def lookup_token(
        self, token: str | None = None, *, limit_s: float = math.inf
    ) -> VaultResponse:
        """Look up *token*, or the token in use."""
        headers = {} if token is None else {"X-Vault-Token": token}
        path = "auth/token/lookup-self"
        manner = replace(_TOKEN_AGAIN, limit_s=min(limit_s, _QUICK_S))
        return await self._call(
            "lookup_token", "GET", path, headers=headers, needs=("data",), manner=manner
        )

    async def renew_token(self, increment_s: float, *, limit_s: float = math.inf) -> VaultResponse:
        """Renew the token in use, asking for *increment_s* seconds."""
        body = {"increment": f"{round(increment_s)}s"}
        path = "auth/token/renew-self"
        manner = replace(_TOKEN_AGAIN, limit_s=limit_s)
        return await self._call("renew_token", "POST", path, body, needs=("auth",), manner=manner)

    async def revoke_token(self, token: str | None = None) -> None:
        """Revoke *token*, or the token in use, and with it every lease that it created."""
        headers = {} if token is None else {"X-Vault-Token": token}
        await self._call("revoke_token", "POST", "auth/token/revoke-self", headers=headers)

    async def wrap_token(self, ttl_s: float) -> WrapInfo:
        """Return a response-wrapping token, good for *ttl_s* seconds, of the token in use."""
        body, path = {"token": self._transport.token}, "sys/wrapping/wrap"
        headers = {"X-Vault-Wrap-TTL": f"{round(ttl_s)}s"}
        answer = await self._call("wrap_token", "POST", path, body, headers, needs=("wrap_info",))
        if answer.wrap_info is None or not answer.wrap_info.token:
            raise VaultUnavailable(f"wrap token {path!r}: the answer has no wrapping token")
        return answer.wrap_info

    # -- secrets --------------------------------------------------------------------------------

    async def read(self, path: str, manner: Manner = _ORDINARY) -> VaultResponse:
        """Read *path*, which may carry a query. A read can mint, so it is never sent twice
        unless *manner* says that it may be."""
        needs = ("data", "auth", "wrap_info")
        return await self._call("read", "GET", path, needs=needs, manner=manner)

    async def write(
        self, path: str, data: Mapping[str, Any], manner: Manner = _ORDINARY
    ) -> VaultResponse:
        """Write *data* to *path*; the answer may be empty."""
        return await self._call("write", "PUT", path, dict(data), manner=manner)

    async def list(self, path: str) -> VaultResponse:
        """List the keys under *path*."""
        mark = "&" if "?" in path else "?"
        query = f"{path}{mark}list=true"
        response = await self._call("list", "GET", query, needs=("data",), manner=_AGAIN)
        check_keys(response, path)
        return response

    async def mount_of(self, path: str) -> Mount | None:
        """Return the secrets engine that serves *path*.

        None for what Vault serves itself (``sys/`` and the like), and when Vault knows no such
        mount (404): older servers answer so for every path.

        :raises VaultDenied: if there is none, or the token's policy allows nothing there; its
            ``.path`` is *path*.
        """
        if path.startswith(_BUILT_IN):
            return None
        where = f"sys/internal/ui/mounts/{path}"
        try:
            answer = await self._call("find_mount", "GET", where, needs=("data",), manner=_MOUNT)
        except SecretNotFound:
            return None
        except VaultDenied as error:
            error.path = path
            raise
        data = answer.data or {}
        options = data.get("options")
        version = str(options.get("version")) if isinstance(options, dict) else "1"
        engine = str(data.get("type") or "")
        return Mount(str(data.get("path") or ""), engine, 2 if version == "2" else 1)

    # -- leases ---------------------------------------------------------------------------------

    async def renew_lease(
        self, lease_id: str, increment_s: float, *, limit_s: float = math.inf
    ) -> VaultResponse:
        """Renew a lease, asking for *increment_s* seconds."""
        path, body = "sys/leases/renew", {"lease_id": lease_id, "increment": round(increment_s)}
        manner = replace(_RENEWAL, limit_s=limit_s)
        return await self._call(
            "renew_lease", "PUT", path, body, needs=("lease_id",), manner=manner
        )

    async def lookup_lease(self, lease_id: str) -> VaultResponse:
        """Look up a lease.

        :raises VaultRejected: if there is none, or it has ended: one that waits for its revocation,
            because its token has been revoked for example, can still be looked up for a while.
        """
        path, body = "sys/leases/lookup", {"lease_id": lease_id}
        response = await self._call(
            "lookup_lease", "PUT", path, body, needs=("data",), manner=_PROBE
        )
        data = response.data or {}
        if data.get("expire_time") and whole(data.get("ttl")) <= 0:
            message = "lookup lease: it has ended, and waits for its revocation"
            error = VaultRejected(message, status=400, errors=("invalid lease",))
            error.operation, error.path = "lookup_lease", path
            raise error
        return response

    async def revoke_lease(self, lease_id: str) -> None:
        """Revoke a lease."""
        sent = self._rare.sys.revoke_lease(lease_id)
        await self._answer("revoke_lease", "sys/leases/revoke", sent)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    # -- inside ---------------------------------------------------------------------------------

    async def _ask_health(self) -> bool:
        """Whether somebody at the address can serve requests."""
        # standbyok: a standby forwards requests, so it is as good as the active node.
        path = "sys/health?standbyok=true&perfstandbyok=true"
        headers = {"X-Vault-Token": "", "X-Vault-Namespace": ""}
        try:
            await self._call("health", "GET", path, None, headers, manner=_HEALTH)
        except VaultError as error:
            # A refusal is an answer: some proxies hide sys/health, and Vault may still be there.
            if not 0 < error.status < 500 or error.status == _DR_SECONDARY:
                return False
        if self.reachability.up:
            # Others had no answer: their connections may be dead, after a fail-over for example.
            self._transport.renew_connections()
        else:
            self._transport.interrupt()
        return True

    def renew_connections(self) -> None:
        """Make new connections from now on, with names and TLS files as they are now."""
        self._transport.renew_connections()

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
        *,
        needs: tuple[str, ...] = (),
        manner: Manner = _ORDINARY,
    ) -> VaultResponse:
        for pause_s in _CATCHING_UP_S:
            sent = self._transport.send(method, f"/v1/{path}", headers or {}, body, manner=manner)
            try:
                return await self._answer(operation, path, sent, body, needs)
            except VaultUnavailable as error:
                if error.status != 412 or pause_s is None:
                    raise
            await asyncio.sleep(pause_s)
        raise AssertionError

    async def _answer(
        self,
        operation: str,
        path: str,
        sent: Awaitable[Reply],
        body: object = None,
        needs: tuple[str, ...] = (),
    ) -> VaultResponse:
        with span(f"vault {operation}", {"vault.operation": operation, "vault.path": path}) as note:
            path = path.removesuffix("?list=true")
            serial, started, request_id = self.token_serial, now(), ""
            try:
                reply = await sent
                raise_for_status(reply, operation, path, body)
                response = (secret_of if operation in _SECRETS else response_of)(reply.body)
                request_id = response.request_id
                _insist(response, operation, path, needs)
            except VaultError as error:
                error.operation, error.path = operation, path
                if isinstance(error, BadAnswer):
                    error.message = f"{operation} {path!r}: bad answer: {error.message}"
                if isinstance(error, VaultDenied):
                    error.token_serial = serial
                self._note(operation, error)
                VAULT_REQUESTS.inc(operation, _result(error))
                raise
            finally:
                took_s = now() - started
                VAULT_REQUEST_SECONDS.observe(took_s, operation, request_id=request_id)
            if operation != "health":
                self.reachability.seen()
                self.latencies_s.append(took_s)
            VAULT_REQUESTS.inc(operation, "ok")
            note("vault.request_id", request_id)
            return response

    def _note_slow(self) -> None:
        error = VaultUnavailable(f"a request to Vault has had no answer for {SLOW_S:.0f} s")
        self.reachability.doubt(error)

    def _note(self, operation: str, error: VaultError) -> None:
        if operation == "health":
            return  # whoever asked draws the conclusion
        if isinstance(error, VaultUnavailable) and error.unreachable:
            self.reachability.doubt(error)
        elif error.status:
            self.reachability.seen()


def _insist(response: VaultResponse, operation: str, path: str, needs: tuple[str, ...]) -> None:
    """Refuse a success that lacks all that was asked for.

    Believing it would replace what is valid by nothing, or keep for ever what has an end.
    """
    if needs and all(getattr(response, name) in (None, "") for name in needs):
        asked = f"{operation.replace('_', ' ')} {path!r}"
        if operation == "read":
            raise SecretNotFound(f"no secret exists at {path}: the answer is empty")
        raise VaultUnavailable(f"{asked}: the answer has no {needs[0]}")


def _result(error: VaultError) -> str:
    match error:
        case VaultUnavailable():
            return "unavailable"
        case VaultDenied():
            return "denied"
        case SecretNotFound():
            return "not_found"
    return "rejected"
