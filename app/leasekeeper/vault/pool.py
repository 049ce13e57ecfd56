"""Connections of one generation: trusted together, and given up together."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp

from leasekeeper.runtime.clock import now

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


class Pool:
    """An aiohttp session, as a context manager for each request that is sent over it.

    *reuse* keeps connections open for later requests. Whoever opens it ends it by `retire` or
    `close`.
    """

    def __init__(self, *, reuse: bool) -> None:
        connector = aiohttp.TCPConnector(
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
