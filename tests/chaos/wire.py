"""The network between a program and the gateway: it can refuse, and it can go silent."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET

from leasekeeper.devstack.processes import free_port

PIECE = 64 * 1024


@dataclass(slots=True)
class _Connection:
    client: asyncio.StreamWriter
    dead: bool = False
    """Bytes of either side are swallowed, and neither hears that the other has hung up."""


class Wire:
    """A TCP proxy on a port of 127.0.0.1. Whoever starts it closes it.

    In a silence it behaves like a firewall that has lost its state: whatever is connected, and
    whoever connects meanwhile, is never answered and never told, not even afterwards. Connections
    that are opened after the silence work.
    """

    def __init__(self, upstream: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        host, _, port = upstream.removeprefix("http://").partition(":")
        self._upstream = (host, int(port))
        self._silent = False
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    async def start(self) -> None:
        """Listen; nothing is done if it does already."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def refuse(self) -> None:
        """Reset every connection and refuse new ones, as a host whose server is down does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections.values():
            _reset(connection.client)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def silence(self) -> None:
        """Never answer again on what is connected, nor on what connects from now on."""
        self._silent = True
        for connection in self._connections.values():
            connection.dead = True

    def speak(self) -> None:
        """Let new connections work."""
        self._silent = False

    async def close(self) -> None:
        """Stop for good."""
        await self.refuse()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(writer, dead=self._silent)
        try:
            await self._join(connection, reader)
        except (OSError, asyncio.CancelledError):
            pass  # nobody awaits this task but `refuse`
        finally:
            del self._connections[task]
            writer.close()

    async def _join(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        if connection.dead:
            await _swallow(reader)
            return
        from_vault, to_vault = await asyncio.open_connection(*self._upstream)
        try:
            async with asyncio.TaskGroup() as group:
                back = group.create_task(_pump(connection, from_vault, connection.client))
                await _pump(connection, reader, to_vault)
                back.cancel()
        finally:
            to_vault.close()


async def _pump(
    connection: _Connection, source: asyncio.StreamReader, target: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(PIECE):
            if not connection.dead:
                target.write(data)
                await target.drain()
    if not connection.dead and target is connection.client:
        target.close()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(PIECE):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
