"""Connections of one generation: trusted together, and given up together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult

from leasekeeper.errors import VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.telemetry.trouble import Trouble

# Idle connections are closed before the 60 s after which load balancers drop them silently.
_KEEPALIVE_S = 50.0
# A peer that has vanished without a word is noticed by the kernel in about this many seconds,
# whether we wait for an answer (nothing acknowledges what we sent) or the connection idles.
_UNACKNOWLEDGED_S = 6
_TCP_OPTIONS = (
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 3),
    ("TCP_KEEPCNT", 2),
    ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_S * 1000),
)
# How long an answer about a name is waited for when an older one is known, and when none is: less
# than a login may take, so that what is said is that the name is the trouble.
_PATIENCE_S, _FIRST_PATIENCE_S = 1.0, 4.0


class Names(aiohttp.abc.AbstractResolver):
    """Resolves host names. While that fails, or takes long, the last answer is used.

    So a name service that is away costs nothing as long as Vault stays where it is. Whoever has
    such an address by now cannot pose as Vault: certificates are checked against the name.
    A name is asked for once at a time, however many connections wait for it, in a thread of its
    own: a question cannot be broken off, and the event loop's end would wait for its own threads.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, int, int], _Name] = {}

    @property
    def failing(self) -> bool:
        """Whether an old answer is in use because there is no new one."""
        return any(name.trouble.active for name in self._names.values())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*.

        :raises OSError, UnicodeError: if there are none, and never were.
        """
        name = self._names.setdefault((host, port, family), _Name(Trouble("vault.name", host=host)))
        if (asking := name.asking) is None:
            asking = name.asking = _asked(host, port, family)
            name.since = now()
            asking.add_done_callback(name.answered)
        patience_s = _PATIENCE_S if name.known else _FIRST_PATIENCE_S
        await asyncio.wait({asking}, timeout=max(name.since + patience_s - now(), 0))
        if asking.done() and (not name.known or asking.exception() is None):
            return [*asking.result()]
        if not name.known:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if not asking.done():
            name.failed("there is no answer")
        return [*name.known]

    async def close(self) -> None:
        """Nothing to let go of: what is being asked ends by itself."""


@dataclass(slots=True, eq=False)
class _Name:
    """What is known of a host name, and the question that is under way since *since*."""

    trouble: Trouble
    known: list[ResolveResult] = field(default_factory=list)
    asking: asyncio.Future[list[ResolveResult]] | None = None
    since: float = 0.0

    def answered(self, asking: asyncio.Future[list[ResolveResult]]) -> None:
        self.asking = None
        if (error := asking.exception()) is None:
            self.known = asking.result()
            self.trouble.recovered()
        elif self.known:
            self.failed(getattr(error, "strerror", None) or type(error).__name__)

    def failed(self, why: str) -> None:
        hint = "check DNS; the last known addresses are used"
        error = VaultUnavailable("a host name cannot be resolved any more", hint=hint)
        error.code = "LK-VAULT-003"
        self.trouble.failed(error, reason=why.lower())


def _asked(host: str, port: int, family: int) -> asyncio.Future[list[ResolveResult]]:
    """Ask for the addresses of *host* in a thread that nobody waits for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

    def ask() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            try:
                found = _addresses(host, port, family)
            except Exception as error:  # noqa: BLE001 - for whoever waits
                loop.call_soon_threadsafe(answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(answer.set_result, found)

    try:
        threading.Thread(target=ask, name="resolve", daemon=True).start()
    except RuntimeError as error:
        answer.set_exception(OSError(errno.EAGAIN, str(error)))
    return answer


def _addresses(host: str, port: int, family: int) -> list[ResolveResult]:
    """Return what the operating system finds out; it may take its time."""
    flags = socket.AI_ADDRCONFIG  # no addresses of a kind that this machine does not have
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [
        ResolveResult(
            hostname=host,
            host=_text(address),
            port=port,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]


def _text(address: tuple[Any, ...]) -> str:
    """Return the address proper, with the interface if it means something there alone."""
    scope = address[3] if len(address) == 4 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])


class Pool:
    """An aiohttp session, as a context manager for each request that is sent over it.

    *reuse* keeps connections open for later requests. Whoever opens it ends it by `retire` or
    `close`; *names*, which outlives it, is somebody else's to close.
    """

    def __init__(self, names: Names, *, reuse: bool) -> None:
        connector = aiohttp.TCPConnector(
            resolver=names,
            use_dns_cache=reuse,  # otherwise each connection is to find where Vault is now
            limit=0,  # the transport has a turnstile
            socket_factory=_socket,
            force_close=not reuse,
            keepalive_timeout=_KEEPALIVE_S if reuse else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # `send` has the clock
            headers={"User-Agent": "leasekeeper"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # aiohttp would send a GET or a PUT again by itself when a kept connection breaks, and a
        # read can mint credentials. There is no public way to switch that off.
        self._session._retry_connection = False  # noqa: SLF001
        self._users = 0
        self.made_at = now()
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    def __enter__(self) -> aiohttp.ClientSession:
        self._users += 1
        return self._session

    def __exit__(self, *_error: object) -> None:
        self._users -= 1
        self._close_if_unused()

    def retire(self) -> None:
        """Close every connection as soon as nobody uses one."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and not self._users and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._session.close())

    @property
    def closed(self) -> bool:
        """Whether the last connection has been closed."""
        return self._closing is not None and self._closing.done()

    async def close(self) -> None:
        """Close every connection now."""
        if self._closing is None:
            await self._session.close()
        else:
            await self._closing


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that does not trust in a peer that has gone silent."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        if (option := getattr(socket, name, None)) is not None:  # not on every platform
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
