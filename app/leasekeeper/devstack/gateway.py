"""The world's Vault address: stands before OpenBao, adds IAM logins, counts, and breaks things.

Whatever is not a login is passed on byte by byte: every method, namespaces, wrapped answers,
streams, statuses and headers such as Date.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET

from leasekeeper.devstack.faults import Fault, Faults
from leasekeeper.devstack.http1 import Head, read_body, read_head
from leasekeeper.devstack.logins import IamLogins, LoginRequest
from leasekeeper.runtime.clock import now


@dataclass(slots=True)
class Seen:
    """A request that came in; *status* is 0 until, and unless, it was answered."""

    at: float
    method: str
    path: str
    status: int = 0


@dataclass(slots=True)
class _Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """End the connection with RST, as a crash or a firewall does, not with FIN."""
        connection = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Gateway:
    """Listens on one port of 127.0.0.1.

    `seen` lists every request since the start, `faults` breaks them, and `clock_offset_s`
    shifts the clock that shows in Date headers and decides on the age of signatures.
    """

    def __init__(self, upstream: str, logins: IamLogins, *, mount: str) -> None:
        self.address = ""
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.clock_offset_s = 0.0
        self.logins = logins
        self._upstream_host, _, port = upstream.removeprefix("http://").partition(":")
        self._upstream_port = int(port)
        self._mount = mount
        self._login_path = re.compile(rf"/v1/((?:.+/)?)auth/{re.escape(mount)}/login")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._silent = False
        self._swallowed: set[asyncio.Task[None]] = set()
        self._plugs: list[socket.socket] = []

    async def start(self, port: int) -> None:
        """Listen on *port*; 0 is any."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def count(self, path: str = "/v1/", *, method: str | None = None, after: int = 0) -> int:
        """Return how many requests came in whose path starts with *path*.

        *after* leaves out the first so many of `seen`: take ``len(gateway.seen)`` beforehand.
        """
        later = self.seen[after:]
        return sum(seen.path.startswith(path) and method in (None, seen.method) for seen in later)

    async def stop_listening(self) -> None:
        """Refuse new connections and reset the present ones, as when the host is down."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._end_connections()

    async def listen_again(self) -> None:
        """Take connections again, at the same address."""
        if self._server is None:
            await self.start(int(self.address.rpartition(":")[2]))

    async def black_hole(self, *, connects: bool = True) -> None:
        """Swallow whatever is sent from now on, without an answer, a FIN or a RST.

        Connections that are open now stay silent for good, as behind a fail-over that has lost
        them. Those that are made meanwhile do, too; *connects* False drops their SYN instead.
        """
        self._silent = True
        for task in self._connections - self._swallowed:
            task.cancel()
        if not connects and self._server is not None:
            self._server.close()
            self._server = None
            self._plug(int(self.address.rpartition(":")[2]))

    async def end_black_hole(self) -> None:
        """Serve new connections again; the swallowed ones hear nothing any more."""
        self._silent = False
        self._unplug()
        await self.listen_again()

    def _plug(self, port: int) -> None:
        """Fill the queue of a listener that never accepts: Linux drops further SYNs."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        self._plugs = [listener]
        for _ in range(2):
            plug = socket.socket()
            plug.setblocking(False)
            plug.connect_ex(("127.0.0.1", port))
            self._plugs.append(plug)

    def _unplug(self) -> None:
        for plug in self._plugs:
            plug.close()
        self._plugs = []

    async def close(self) -> None:
        """Stop for good."""
        self._silent = False
        self._unplug()
        await self.stop_listening()
        await self.logins.close()

    async def _end_connections(self) -> None:
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        client = _Client(reader, writer)
        try:
            if self._silent:
                await self._fall_silent(client, task)
            while await self._exchange(client):
                pass
        except (OSError, EOFError, ValueError):
            client.reset()
        except asyncio.CancelledError:
            # Not passed on: nobody awaits this task but `_end_connections`.
            if self._silent:
                await self._fall_silent(client, task)
            client.reset()
        finally:
            writer.close()

    async def _fall_silent(self, client: _Client, task: asyncio.Task[None]) -> None:
        """Take what comes, and say nothing until the client hangs up or the gateway ends."""
        self._swallowed.add(task)
        task.add_done_callback(self._swallowed.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await _read_to_end(client.reader)

    async def _exchange(self, client: _Client) -> bool:
        """Handle one request; False says that the connection is to be closed.

        :raises OSError, EOFError, ValueError: if a connection breaks or carries no HTTP/1.
        """
        if (head := await read_head(client.reader)) is None:
            return False
        method, target, _ = head.start.split(" ", 2)
        path = target.partition("?")[0]
        seen = Seen(now(), method, path)
        self.seen.append(seen)
        fault = self.faults.take(method, path)
        if (
            fault is not None
            and (done := await self._befall(fault, client, head, seen)) is not None
        ):
            return done
        if method in ("POST", "PUT") and (login := self._login_path.fullmatch(path)) is not None:
            return await self._log_in(login.group(1), client, head, seen)
        return await self._pass_on(client, head, seen)

    async def _befall(self, fault: Fault, client: _Client, head: Head, seen: Seen) -> bool | None:
        """Let *fault* do its work; None says that the request goes on to OpenBao."""
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.seconds)
                return None
            case "status":
                await _drain(client, head)
                await self._answer(
                    client, seen, fault.status, {"errors": list(fault.errors)}, fault.headers
                )
                return not head.closes
            case "drop_answer":
                await self._pass_on(client, head, seen, deliver=False)
                seen.status = 0
            case "hang":
                await _until_gone(client, fault)
            case "drop":
                pass
        client.reset()
        return False

    async def _log_in(self, prefix: str, client: _Client, head: Head, seen: Seen) -> bool:
        raw = b"".join([data async for _, data in read_body(client.reader, head)])
        request = LoginRequest(
            mount=self._mount,
            prefix=prefix,
            namespace=head.get("X-Vault-Namespace"),
            wrap_ttl=head.get("X-Vault-Wrap-TTL"),
            now=self._wall_clock(),
        )
        try:
            payload = json.loads(raw or b"{}")
        except ValueError:
            payload = None
        if isinstance(payload, dict):
            status, body = await self.logins.answer(payload, request)
        else:
            status, body = 400, {"errors": ["error parsing JSON"]}
        await self._answer(client, seen, status, body)
        return not head.closes

    async def _answer(
        self,
        client: _Client,
        seen: Seen,
        status: int,
        body: object,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        seen.status = status
        data = json.dumps(body).encode() + b"\n"
        own = {
            "Cache-Control": "no-store",
            "Content-Type": "application/json",
            "Date": self._date(),
            "Content-Length": str(len(data)),
        }
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        head = Head(f"HTTP/1.1 {status} {reason}", list({**own, **(headers or {})}.items()))
        client.writer.write(head.encode() + data)
        await client.writer.drain()

    def _wall_clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset_s)

    def _date(self) -> str:
        return format_datetime(self._wall_clock(), usegmt=True)

    async def _pass_on(
        self, client: _Client, head: Head, seen: Seen, *, deliver: bool = True
    ) -> bool:
        # A connection for each request: a kept one could have died with a restarted OpenBao.
        reader, writer = await asyncio.open_connection(self._upstream_host, self._upstream_port)
        try:
            writer.write(head.without("connection").encode())
            async for wire, _ in read_body(client.reader, head):
                writer.write(wire)
                await writer.drain()
            return await self._bring_back(reader, client if deliver else None, head, seen)
        finally:
            writer.close()

    async def _bring_back(
        self, reader: asyncio.StreamReader, client: _Client | None, request: Head, seen: Seen
    ) -> bool:
        answer = await read_head(reader)
        while answer is not None and answer.status < 200:
            answer = await read_head(reader)
        if answer is None:
            raise EOFError("OpenBao closed the connection without an answer")
        seen.status = answer.status
        if self.clock_offset_s:
            answer = answer.without("date")
            answer.headers.append(("Date", self._date()))
        bare = request.start.startswith("HEAD ") or answer.status in (204, 304)
        await _deliver(client, answer.encode())
        if not bare:
            async for wire, _ in read_body(reader, answer, to_end=True):
                await _deliver(client, wire)
        measured = answer.get("Content-Length") or answer.get("Transfer-Encoding")
        return bool(bare or measured) and not request.closes


async def _deliver(client: _Client | None, data: bytes) -> None:
    if client is not None:
        client.writer.write(data)
        await client.writer.drain()


async def _drain(client: _Client, head: Head) -> None:
    async for _ in read_body(client.reader, head):
        pass


async def _until_gone(client: _Client, fault: Fault) -> None:
    """Wait until the client hangs up or the fault is removed."""
    async with asyncio.TaskGroup() as group:
        removed = group.create_task(fault.removed.wait())
        hung_up = group.create_task(_read_to_end(client.reader))
        await asyncio.wait((removed, hung_up), return_when=asyncio.FIRST_COMPLETED)
        removed.cancel()
        hung_up.cancel()


async def _read_to_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass
