"""Sending requests to Vault with aiohttp: JSON in, JSON out, each within its time."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import IntEnum
from time import time
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from leasekeeper.errors import ConfigError, VaultRejected
from leasekeeper.runtime.clock import due, now
from leasekeeper.runtime.turnstile import Turnstile
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.decoding import TooDeep, decode
from leasekeeper.vault.failures import (
    BROKEN_OFF,
    NO_ANSWER,
    Unusable,
    harmless_cause,
    unavailable,
)
from leasekeeper.vault.pool import Names, Pool
from leasekeeper.vault.proxies import proxy_for
from leasekeeper.vault.tls import TlsFiles

# Vault's own default for the largest request is 32 MiB; no answer is legitimately larger.
LARGEST_BODY = 32 * 1024 * 1024
# A request that takes longer is slow: it gives its place to others and raises a doubt.
SLOW_S = 2.0
# What must not be sent twice is not sent over a connection that has idled for longer than this:
# it may be dead, and then nobody knows whether Vault has done what was asked.
_TRUSTED_S = 5.0
# TLS files are looked at this often, and after every failure.
_TLS_CHECK_S = 30.0
# What a path may hold unescaped; "?" never, because a query is split off before.
_SAFE = "/~!$&'()*+,;=:@-._"
# A standby that does not forward requests, and a path that Vault wants to be written differently.
_REDIRECTS = frozenset({301, 302, 307, 308})


class Urgency(IntEnum):
    """Who goes first when requests have to queue."""

    TOKEN = 0  # without it nothing else works
    EXPIRING = 1  # a lease that ends, or a value that nobody has yet
    ORDINARY = 2
    PROBE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to send a request.

    *limit_s* shortens the time that the settings allow. *repeatable* says that Vault may do it
    twice without harm. *alone* takes a connection of its own, does not queue and is no sign of
    anything: it is how to find out whether the others have reason to be silent.
    """

    limit_s: float = math.inf
    repeatable: bool = False
    alone: bool = False
    urgency: Urgency = Urgency.ORDINARY


@dataclass(slots=True, eq=False)
class _Running:
    """A request on its way, when it ends at the latest, and the clock that sees to that."""

    since: float
    end: float
    clock: asyncio.Timeout
    slow: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, decoded. *body* is empty when there was none.

    *from_vault* is False when the body is not one that Vault writes: a proxy or a load balancer
    answered, and its status says nothing about the token or the secret.
    """

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] = field(repr=False)
    from_vault: bool = True

    @property
    def errors(self) -> tuple[str, ...]:
        """Vault's own error strings, shortened: they are for people."""
        found = self.body.get("errors")
        if not isinstance(found, list):
            return ()
        return tuple(" ".join(str(item).split())[:400] for item in found)


class Transport:
    """The way to one Vault address.

    *token* is sent with every request that does not bring its own. *clock_offset_s* is the
    server's ``Date`` minus our clock, from the newest answer whose ``Date`` was
    new, or None before the first.
    *on_slow* is called when a request has had no answer for `SLOW_S`, *on_send* before each
    request, *on_token_use* before each that carries *token*.

    :raises ConfigError: if a TLS file or the proxy's variable cannot be used.
    """

    def __init__(self, settings: VaultSection) -> None:
        self._settings = settings
        self._base = URL(settings.address).origin()
        self._proxy = proxy_for(self._base, os.environ)
        # Now, so that unusable files end the start; after a redirect into TLS otherwise.
        self._tls = TlsFiles(settings) if self._base.scheme == "https" else None
        self._tls_check_at = -math.inf
        self._names = Names()
        self._pool: Pool | None = None
        self._own: Pool | None = None
        self._retired: list[Pool] = []
        self._answered_at = -math.inf
        self._running: dict[_Running, None] = {}  # in the order in which they were sent
        self._patience: asyncio.TimerHandle | None = None
        self._turnstile = Turnstile(
            places=settings.max_connections,
            slow_s=SLOW_S,
            rate=settings.rate_limit,
            burst=settings.rate_burst or max(1, round(settings.rate_limit)),
        )
        self.on_slow: Callable[[], None] = lambda: None
        self.on_send: Callable[[], None] = lambda: None
        self.on_token_use: Callable[[], None] = lambda: None
        self.token: str | None = None
        self.clock_offset_s: float | None = None
        self._last_date = ""

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        params: Mapping[str, Any] | None = None,
        *,
        manner: Manner | None = None,
    ) -> Reply:
        """Send one request and return the answer, whatever its status.

        A connection that turns out to be dead is replaced and the request sent again, once, if
        *manner* says that it may be repeated. One redirect is followed, with the token, but never
        from https to http.

        :raises VaultUnavailable: if there was no complete, readable answer in time.
        :raises VaultRejected: if the answer is too large or nested too deeply to be used.
        """
        manner = manner or Manner()
        self.on_send()
        headers = self._headers(headers)  # before anything is awaited, with the token of now
        if self.token is not None and headers.get("X-Vault-Token") == self.token:
            self.on_token_use()
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        url = self._url(path, params)
        if manner.alone:
            return await self._within_limit(method.upper(), url, headers, data, manner)
        with await self._turnstile.take(manner.urgency):
            return await self._within_limit(method.upper(), url, headers, data, manner)

    async def _within_limit(
        self, method: str, url: URL, headers: Mapping[str, str], data: bytes | None, manner: Manner
    ) -> Reply:
        since, limit_s = now(), min(manner.limit_s, self._settings.timeout)
        # Nearly every request is answered long before its time is up, so one that is watched gets
        # a timer only once it is slow.
        limited = manner.alone or limit_s <= SLOW_S
        clock = asyncio.timeout(limit_s if limited else None)
        running = _Running(since, since + limit_s, clock)
        try:
            async with clock:
                if manner.alone:
                    return await self._send(method, url, headers, data, manner)
                self._watch(running)
                reply = await self._send(method, url, headers, data, manner)
        except (*NO_ANSWER, Unusable) as error:
            if not manner.alone:
                self.renew_connections()
            told = unavailable(error, self._where, limit_s)
            told.interrupted = running.interrupted
            told.unreachable = not running.interrupted
            raise told from harmless_cause(error)
        finally:
            self._running.pop(running, None)
        self._answered_at = now()
        return reply

    def _watch(self, running: _Running) -> None:
        """Let `interrupt` end *running*, and notice when it turns out to be slow."""
        self._running[running] = None
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(SLOW_S, self._end_patience)

    def _end_patience(self) -> None:
        """Tell who has become slow, and wait for the next: one timer for all."""
        self._patience = None
        for running in self._running:
            slow_at = running.since + SLOW_S
            if not due(slow_at):
                loop = asyncio.get_running_loop()
                self._patience = loop.call_at(slow_at, self._end_patience)
                return
            if not running.slow:
                running.slow = True
                if running.clock.when() is None:
                    running.clock.reschedule(running.end)
                self.on_slow()

    def renew_connections(self) -> None:
        """Trust no present connection any more: look at names and TLS files again.

        Requests that are on their way are left alone.
        """
        self._tls_check_at = -math.inf
        self._retire_pool()

    def interrupt(self) -> None:
        """End the requests that hang, and trust no present connection any more.

        What was sent a moment ago has until it would be slow.
        """
        self.renew_connections()
        for running in self._running:
            end = max(running.since + SLOW_S, now())
            if end < running.end and not running.clock.expired():
                running.interrupted, running.end = True, end
                running.clock.reschedule(end)

    @property
    def address(self) -> str:
        """Scheme, host and port of Vault."""
        return str(self._base)

    @property
    def _where(self) -> str:
        proxy = self._proxy
        through = f" (through the proxy {proxy.host}:{proxy.port})" if proxy else ""
        old = " (at its last known address: the name cannot be resolved now)"
        return f"{self._base}{through}{old if self._names.failing else ''}"

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], data: bytes | None, manner: Manner
    ) -> Reply:
        if self._tls is not None and now() >= self._tls_check_at:
            await self._keep_current(self._tls)
        if not manner.repeatable:
            self._retire_if_idle()
        try:
            reply = await self._exchange(method, url, headers, data, alone=manner.alone)
        except BROKEN_OFF as error:
            if not manner.repeatable or isinstance(error, aiohttp.ClientConnectorError):
                raise
            self._retire_pool()
            reply = await self._exchange(method, url, headers, data, alone=manner.alone)
        if (target := _target(url, reply)) is not None:
            try:
                reply = await self._exchange(method, target, headers, data, alone=manner.alone)
            except ConfigError as error:  # TLS and proxies of another scheme are looked at now
                raise Unusable(f"redirects to {target.origin()}: {error}") from None
            if _target(target, reply) is not None:
                raise Unusable("redirects from one address to the next")
        return reply

    async def _exchange(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        data: bytes | None,
        *,
        alone: bool = False,
    ) -> Reply:
        if url.scheme == "https" and self._tls is None:
            self._tls = TlsFiles(self._settings)
        with self._pool_for(alone=alone) as session:
            response = await session.request(
                method,
                url,
                headers=headers,
                data=data,
                proxy=self._proxy if self._is_ours(url) else proxy_for(url, os.environ),
                ssl=self._tls.context if url.scheme == "https" and self._tls else True,
                server_hostname=self._settings.tls_server_name,
                allow_redirects=False,
            )
            try:
                self._note_clock(response.headers.get("Date"))
                raw = await _read(response)
            finally:
                response.release()
        return _reply(response.status, response.headers, raw, url)

    def _is_ours(self, url: URL) -> bool:
        return url.raw_authority == self._base.raw_authority and url.scheme == self._base.scheme

    def _pool_for(self, *, alone: bool) -> Pool:
        if alone:
            self._own = self._own or Pool(self._names, reuse=False)
            return self._own
        self._pool = self._pool or Pool(self._names, reuse=True)
        return self._pool

    def _retire_if_idle(self) -> None:
        if self._pool is not None:
            trusted_at = max(self._answered_at, self._pool.made_at)
            if now() - trusted_at > _TRUSTED_S:
                self._retire_pool()

    def _retire_pool(self) -> None:
        if self._pool is not None:
            self._pool.retire()
            self._retired = [pool for pool in (*self._retired, self._pool) if not pool.closed]
            self._pool = None

    async def _keep_current(self, tls: TlsFiles) -> None:
        """Read TLS files that have changed, so that rotated ones need no restart."""
        self._tls_check_at = now() + _TLS_CHECK_S
        if await tls.reread():
            self._retire_pool()

    def _headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        headers = {"X-Vault-Request": "true"}
        if self._settings.namespace:
            headers["X-Vault-Namespace"] = self._settings.namespace
        if self.token is not None:
            headers["X-Vault-Token"] = self.token
        headers.update(extra)
        return {name: value for name, value in headers.items() if value}

    def _url(self, path: str, params: Mapping[str, Any] | None) -> URL:
        path, _, query = path.partition("?")
        if params:
            query = urlencode(params)
        path = quote(path, safe=_SAFE, errors="surrogateescape")
        if not query:
            return self._base.with_path(path, encoded=True)  # cheaper than to parse a text
        return URL(f"{self._base}{path}?{quote(query, safe=_SAFE + '%')}", encoded=True)

    def _note_clock(self, date: str | None) -> None:
        # It changes once a second, and parsing it costs as much as decoding a small answer.
        if date is None or date == self._last_date:
            return
        self._last_date = date
        try:
            self.clock_offset_s = parsedate_to_datetime(date).timestamp() - time()
        except (ValueError, OverflowError):
            return

    async def close(self) -> None:
        """Close every connection."""
        pools = [pool for pool in (self._pool, self._own, *self._retired) if pool is not None]
        self._pool, self._own, self._retired = None, None, []
        await asyncio.gather(*(pool.close() for pool in pools), self._names.close())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > LARGEST_BODY:
            limit = f"{LARGEST_BODY // 2**20} MiB"
            raise VaultRejected(f"{_answer_to(response.url)} is larger than {limit}")
        chunks.append(chunk)
    return b"".join(chunks)


def _reply(status: int, headers: Mapping[str, str], raw: bytes, url: URL) -> Reply:
    if not raw:
        # Vault says something with every refusal.
        return Reply(status, headers, {}, from_vault=status < 300)
    try:
        body = decode(raw)
    except TooDeep as error:
        raise VaultRejected(f"{_answer_to(url)} is nested too deeply") from error
    if body is None and status == 400 and url.scheme == "http" and b"HTTPS" in raw[:4096]:
        raise Unusable("speaks TLS only", "let vault.address begin with https://")
    return Reply(status, headers, body or {}, from_vault=body is not None)


def _answer_to(url: URL) -> str:
    return f"Vault's answer to {url.path.removeprefix('/v1/')!r}"


def _target(url: URL, reply: Reply) -> URL | None:
    """Return where the answer sends us, or None if it does not."""
    location = reply.headers.get("Location")
    if reply.status not in _REDIRECTS or location is None:
        return None
    try:
        target = url.join(URL(location, encoded=True))
    except ValueError:
        target = URL()
    if target.scheme not in ("http", "https") or not target.raw_host:
        raise Unusable("redirects to something that is not an address")
    if url.scheme == "https" and target.scheme == "http":
        raise Unusable(
            f"redirects to {target.origin()}, where the token would travel unencrypted",
            "check api_addr of the servers",
        )
    return target
