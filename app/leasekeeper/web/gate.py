"""How many may be connected, and for how long without saying anything whole.

Slow clients must cost nothing: neither memory without end, nor the place of the health check.
When every place is taken, whoever has been idle for longest loses his.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from aiohttp import web

MOST_CONNECTIONS = 256
"""At one address."""
HEAD_S = 10.0
"""From connecting to the end of the first request's headers."""
ANSWER_S = 15.0
"""For reading a request's body and making the answer."""
KEEP_ALIVE_S = 75.0
"""From one request to the next; reading our answer is a part of it."""
_SWEEP_EVERY_S = 1.0


class Connection(web.RequestHandler):
    """aiohttp's protocol, which tells its gate how it stands."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate, server: web.Server, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._gate = gate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place."""
        super().connection_made(transport)
        self._gate.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._gate.closed(self)
        super().connection_lost(exc)


class Gate:
    """Knows every connection of one address."""

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._until: dict[web.RequestHandler, float] = {}
        # Who has nothing under way, the longest idle first.
        self._idle: dict[web.RequestHandler, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._until)

    def opened(self, connection: web.RequestHandler) -> None:
        """Give a new connection a place, somebody else's if need be."""
        if len(self._until) >= self._most:
            longest_idle = next(iter(self._idle), connection)
            self.closed(longest_idle)  # now: the next one must not choose it again
            _abort(longest_idle)
        if connection.transport is not None and not connection.transport.is_closing():
            self._wait(connection, HEAD_S)
        if self._sweeper is None:
            self._sweep_later()

    def busy(self, connection: web.RequestHandler, limit_s: float = ANSWER_S) -> None:
        """Note that a request is being answered, in *limit_s* seconds at the most."""
        self._idle.pop(connection, None)
        self._until[connection] = asyncio.get_running_loop().time() + limit_s

    def idle(self, connection: web.RequestHandler) -> None:
        """Note that the next request is waited for."""
        if connection in self._until:
            self._wait(connection, KEEP_ALIVE_S)

    def closed(self, connection: web.RequestHandler) -> None:
        """Note that a connection has ended."""
        self._until.pop(connection, None)
        self._idle.pop(connection, None)

    def close(self) -> None:
        """Stop looking after connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _wait(self, connection: web.RequestHandler, limit_s: float) -> None:
        self._idle.pop(connection, None)
        self._idle[connection] = None
        self._until[connection] = asyncio.get_running_loop().time() + limit_s

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(_SWEEP_EVERY_S, self._sweep)

    def _sweep(self) -> None:
        at = asyncio.get_running_loop().time()
        for connection in [each for each, until in self._until.items() if until <= at]:
            _abort(connection)
            self.closed(connection)
        self._sweeper = None
        if self._until:
            self._sweep_later()


def _abort(connection: web.RequestHandler) -> None:
    transport = connection.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()


ENDLESS_S = math.inf
"""For `Gate.busy`, when the handler looks after its reader itself."""
