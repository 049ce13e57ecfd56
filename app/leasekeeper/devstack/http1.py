"""Just enough HTTP/1.1 to pass messages on unchanged.

aiohttp's server knows a fixed list of methods, without Vault's LIST, and hides the bytes that
the gateway wants to pass on as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

PIECE = 64 * 1024


@dataclass(slots=True)
class Head:
    """A start line and headers, in their order and spelling."""

    start: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        """Return the first value of a header, or an empty string."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    def without(self, *names: str) -> Head:
        """Return a copy without some headers; *names* are lower case."""
        kept = [(key, value) for key, value in self.headers if key.lower() not in names]
        return Head(self.start, kept)

    def encode(self) -> bytes:
        """Return the bytes on the wire, with the empty line."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split(" ", 2)[1])

    @property
    def closes(self) -> bool:
        """Whether the sender of a request wants the connection to end after the answer."""
        return self.start.endswith("HTTP/1.0") or self.get("Connection").lower() == "close"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next head, or None when the connection ends before it.

    :raises ValueError: if what comes is not HTTP/1.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise ValueError("the connection ended inside a head") from error
    except asyncio.LimitOverrunError as error:
        raise ValueError("the head is too long") from error
    start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if "HTTP/1." not in start:
        raise ValueError("not a message of HTTP/1")
    pairs = (line.partition(":") for line in lines)
    return Head(start, [(name, value.strip()) for name, _, value in pairs])


async def read_body(
    reader: asyncio.StreamReader, head: Head, *, to_end: bool = False
) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield the body piece by piece, each as it is on the wire and as it is meant.

    *to_end* says that a body without a length lasts to the end of the connection, as in answers.
    """
    if head.get("Transfer-Encoding").lower() == "chunked":
        async for piece in _read_chunks(reader):
            yield piece
    elif (length := head.get("Content-Length")) or not to_end:
        async for data in _read_exactly(reader, int(length or 0)):
            yield data, data
    else:
        while data := await reader.read(PIECE):
            yield data, data


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line, b""
        if (size := int(line.split(b";")[0], 16)) == 0:
            break
        async for data in _read_exactly(reader, size):
            yield data, data
        yield await reader.readexactly(2), b""
    while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
        yield trailer, b""
    yield b"\r\n", b""


async def _read_exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length > 0:
        data = await reader.read(min(length, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(data)
        yield data
