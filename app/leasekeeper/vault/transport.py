"""Sending requests to Vault with aiohttp: one connection pool, JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from leasekeeper.errors import ConfigError, VaultUnavailable
from leasekeeper.settings.durations import format_duration
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.response import JsonNumber

# Vault's own default for the largest request is 32 MiB; no answer is legitimately larger.
LARGEST_BODY = 32 * 1024 * 1024
# Idle connections are closed before the 60 s after which load balancers drop them silently.
KEEPALIVE_S = 50.0
# What a path may hold unescaped; "?" never, because a query is split off before.
_SAFE = "/~!$&'()*+,;=:@-._"
# Statuses that say that nobody behind the address can serve now: sealed, standby, gateways.
GATEWAY_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, decoded. *body* is empty when there was none or it was not an object."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] = field(repr=False)

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
    server's ``Date`` minus our clock, from the newest answer, or None before the first.
    """

    def __init__(self, settings: VaultSection) -> None:
        self._settings = settings
        self._base = settings.address.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self.token: str | None = None
        self.clock_offset_s: float | None = None

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        params: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Send one request and return the answer, whatever its status.

        :raises VaultUnavailable: if there was no complete, readable answer in time.
        """
        try:
            return await self._send(method, path, headers, body, params)
        except (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError) as error:
            raise self._unavailable(error) from error

    async def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object,
        params: Mapping[str, Any] | None,
    ) -> Reply:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            method.upper(),
            self._url(path, params),
            headers=self._headers(headers),
            data=None if body is None else json.dumps(body).encode(),
            proxy=self._proxy,
            server_hostname=self._settings.tls_server_name,
        ) as response:
            raw = await self._read(response)
            self._note_clock(response.headers.get("Date"))
            return Reply(response.status, response.headers, _decode(raw, response.status))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > LARGEST_BODY:
                msg = f"the answer of Vault is larger than {LARGEST_BODY // 2**20} MiB"
                raise aiohttp.ClientPayloadError(msg)
            chunks.append(chunk)
        return b"".join(chunks)

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
            query = "&".join(f"{key}={str(value).lower()}" for key, value in params.items())
        text = self._base + quote(path, safe=_SAFE, errors="surrogateescape")
        return URL(f"{text}?{quote(query, safe=_SAFE + '%')}" if query else text, encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        self._proxy = _proxy_for(self._base)
        connector = aiohttp.TCPConnector(
            limit=self._settings.max_connections,
            keepalive_timeout=KEEPALIVE_S,
            ssl=tls_context(self._settings) if self._base.startswith("https:") else False,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers={"User-Agent": "leasekeeper"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _note_clock(self, date: str | None) -> None:
        if date is None:
            return
        try:
            self.clock_offset_s = parsedate_to_datetime(date).timestamp() - time()
        except ValueError:
            return

    def _unavailable(self, error: BaseException) -> VaultUnavailable:
        why, hint = _explain(error, self._settings)
        unavailable = VaultUnavailable(f"Vault at {self._base} {why}", hint=hint)
        unavailable.unreachable = True
        return unavailable

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            # aiohttp closes TLS transports in the next turns of the loop and cannot be awaited
            # for it; without a turn the sockets are still open when the loop is closed.
            await asyncio.sleep(0)
            self._session = None


def _decode(raw: bytes, status: int) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        body = json.loads(raw, parse_int=JsonNumber, parse_float=JsonNumber)
    except (ValueError, RecursionError) as error:
        if status >= 400:
            return {}  # a proxy's error page: the status says what there is to know
        msg = "answered with something that is not JSON"
        raise aiohttp.ClientPayloadError(msg) from error
    return body if isinstance(body, dict) else {}


def tls_context(settings: VaultSection) -> ssl.SSLContext:
    """Return the TLS settings for Vault.

    :raises ConfigError: if a certificate file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file, capath=settings.ca_path)
        if settings.client_cert_file:
            context.load_cert_chain(settings.client_cert_file, settings.client_key_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        msg = f"vault: the TLS files cannot be used: {reason}"
        raise ConfigError(msg) from error
    if settings.tls_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_for(address: str) -> str | None:
    parts = urlsplit(address)
    if proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _explain(error: BaseException, settings: VaultSection) -> tuple[str, str | None]:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "it is not trusted"
        return (
            f"has a certificate that cannot be verified: {reason}",
            (
                "set vault.ca_file (VAULT_CACERT) to the PEM file of the signing authority, or "
                "vault.tls_server_name when the name differs"
            ),
        )
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "does not speak TLS with us", "check https:// or http:// in vault.address"
    if isinstance(error, TimeoutError):
        return f"did not answer within {format_duration(settings.timeout)}", None
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has a host name that cannot be resolved", "check vault.address and DNS of the task"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error.strerror or "no connection"
        return f"cannot be reached: {reason}", "check vault.address, security groups and routes"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection before it answered", None
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"sent an unusable answer: {error}", None
    return f"cannot be used: {type(error).__name__}", None
