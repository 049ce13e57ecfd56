"""A server that answers with exactly the bytes it is told to, for what no real server does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

RESET = b"(reset the connection)"
CLOSE = b"(close the connection)"


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names are in lower case."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = bytes | Awaitable[bytes] | AsyncIterator[bytes]
Script = Callable[[Request], Answer]


class Wire:
    """What `serving` yields: the address, and what came in."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.connections = 0
        self.address = ""
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def targets(self) -> list[str]:
        return [f"{request.method} {request.target}" for request in self.requests]

    def drop_connections(self) -> None:
        """Close every connection, as a server does with those that have idled too long."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                while (request := await _read(reader, number)) is not None:
                    self.requests.append(request)
                    async for raw in _chunks(self.script(request)):
                        if raw == RESET:
                            _reset(writer)
                            return
                        writer.write(raw.removesuffix(CLOSE))
                        await writer.drain()
                        if raw.endswith(CLOSE):
                            return
        finally:
            self._writers.discard(writer)
            writer.close()


async def _chunks(answer: Answer) -> AsyncIterator[bytes]:
    if isinstance(answer, AsyncIterator):
        async for chunk in answer:
            yield chunk
    else:
        yield answer if isinstance(answer, bytes) else await answer


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.rstrip().split("\r\n")
    method, target, _ = start.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(connection, method, target, headers, body)


@contextlib.asynccontextmanager
async def serving(
    script: Script | bytes,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Wire]:
    """Serve *script*, or always the same bytes, on *port* (or a free one) of *host*."""
    wire = Wire((lambda _: script) if isinstance(script, bytes) else script)
    server = await asyncio.start_server(wire._serve, host, port, ssl=tls, limit=2**26)
    wire.port = server.sockets[0].getsockname()[1]
    wire.address = f"http{'s' if tls else ''}://127.0.0.1:{wire.port}"
    try:
        yield wire
    finally:
        server.close()
        mine = asyncio.current_task()
        theirs = [t for t in asyncio.all_tasks() if t is not mine and _serves(t, wire)]
        for task in theirs:
            task.cancel()
        if theirs:
            await asyncio.wait(theirs)


def _serves(task: asyncio.Task[object], wire: Wire) -> bool:
    coroutine = task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    return frame is not None and frame.f_locals.get("self") is wire


def http(
    status: int,
    body: object = None,
    headers: Iterable[tuple[str, str]] = (),
    *,
    kind: str = "application/json",
) -> bytes:
    """Return an answer; *body* is bytes as they are, or anything else as JSON; None is empty."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}"]
    lines += [f"Content-Type: {kind}"] if raw else []
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def vault(data: object = None, **more: object) -> bytes:
    """Return a success as Vault writes it."""
    return http(200, {"request_id": "r", "lease_id": "", "data": data, **more})


def refusal(status: int, *errors: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return a refusal as Vault writes it."""
    return http(status, {"errors": list(errors)}, headers)
