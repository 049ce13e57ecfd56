"""Sending requests to Vault with aiohttp: one connection pool, JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from time import time
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from leasekeeper.errors import ConfigError, VaultRejected
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.decoding import TooDeep, decode
from leasekeeper.vault.failures import NO_ANSWER, Unusable, harmless_cause, unavailable
from leasekeeper.vault.proxies import proxy_for
from leasekeeper.vault.tls import tls_context

# Vault's own default for the largest request is 32 MiB; no answer is legitimately larger.
LARGEST_BODY = 32 * 1024 * 1024
# Idle connections are closed before the 60 s after which load balancers drop them silently.
KEEPALIVE_S = 50.0
# What a path may hold unescaped; "?" never, because a query is split off before.
_SAFE = "/~!$&'()*+,;=:@-._"
# A standby that does not forward requests, and a path that Vault wants to be written differently.
_REDIRECTS = frozenset({301, 302, 307, 308})


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
    """One connection pool to one Vault address.

    *token* is sent with every request that does not bring its own. *clock_offset_s* is the
    server's ``Date`` minus our clock, from the newest answer whose ``Date`` was
    new, or None before the first.

    :raises ConfigError: if a TLS file or the proxy's variable cannot be used.
    """

    def __init__(self, settings: VaultSection) -> None:
        self._settings = settings
        self._base = URL(settings.address).origin()
        self._proxy = proxy_for(self._base, os.environ)
        if self._base.scheme == "https":
            _ = self._tls  # now, so that unusable files end the start
        self._session: aiohttp.ClientSession | None = None
        self.token: str | None = None
        self.clock_offset_s: float | None = None
        self._last_date = ""

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._settings)

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Reply:
        """Send one request and return the answer, whatever its status.

        *timeout_s* shortens the time that the settings allow. A connection that turns out to be
        dead is replaced and the request sent again, once, unless it is a POST (by aiohttp). One
        redirect is followed, with the token, but never from https to http.

        :raises VaultUnavailable: if there was no complete, readable answer in time.
        :raises VaultRejected: if the answer is too large or nested too deeply to be used.
        """
        limit_s = min(timeout_s or self._settings.timeout, self._settings.timeout)
        try:
            async with asyncio.timeout(limit_s):
                return await self._send(method.upper(), self._url(path, params), headers, body)
        except (*NO_ANSWER, Unusable) as error:
            raise unavailable(error, self._where, limit_s) from harmless_cause(error)

    @property
    def _where(self) -> str:
        proxy = self._proxy
        return f"{self._base}" + (
            f" (through the proxy {proxy.host}:{proxy.port})" if proxy else ""
        )

    async def _send(self, method: str, url: URL, headers: Mapping[str, str], body: object) -> Reply:
        headers = self._headers(headers)  # before anything is awaited, with the token of now
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        reply = await self._exchange(method, url, headers, data)
        if (target := _target(url, reply)) is not None:
            try:
                reply = await self._exchange(method, target, headers, data)
            except ConfigError as error:  # TLS and proxies of another scheme are looked at now
                raise Unusable(f"redirects to {target.origin()}: {error}") from None
            if _target(target, reply) is not None:
                raise Unusable("redirects from one address to the next")
        return reply

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], data: bytes | None
    ) -> Reply:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            method,
            url,
            headers=headers,
            data=data,
            proxy=self._proxy if url.origin() == self._base else proxy_for(url, os.environ),
            ssl=self._tls if url.scheme == "https" else True,
            server_hostname=self._settings.tls_server_name,
            allow_redirects=False,
        ) as response:
            self._note_clock(response.headers.get("Date"))
            raw = await _read(response)
            return _reply(response.status, response.headers, raw, url)

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
        text = f"{self._base}{quote(path, safe=_SAFE, errors='surrogateescape')}"
        return URL(f"{text}?{quote(query, safe=_SAFE + '%')}" if query else text, encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._settings.max_connections, keepalive_timeout=KEEPALIVE_S
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # `send` has the clock
            headers={"User-Agent": "leasekeeper"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

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
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
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
