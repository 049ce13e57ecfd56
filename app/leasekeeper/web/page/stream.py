"""Server-sent events for open pages: whatever has changed, as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

from aiohttp import web

from leasekeeper.runtime.clock import now
from leasekeeper.web.document import Status
from leasekeeper.web.page.sections import sections, title

MOST_READERS = 16
"""Open pages at a time; more are told to come back later."""
# How often it is looked for news, and how often something is said in any case, so that a page
# knows that it is up to date.
_LOOK_EVERY_S = 1.0
_SPEAK_EVERY_S = 10.0
# A reader that takes nothing for this long has gone away without a word.
_PATIENCE_S = 10.0
_RETRY_MS = 2000


class Stream:
    """Sends *status* to everybody who reads; it is asked for once for all of them."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._readers: set[asyncio.Task[object]] = set()
        self._made_at = float("-inf")
        self._made: tuple[Status, dict[str, str]] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer *request* until its reader goes away.

        :raises HTTPServiceUnavailable: if there are too many readers.
        """
        if len(self._readers) >= MOST_READERS:
            raise web.HTTPServiceUnavailable(text="too many open pages\n")
        reader = asyncio.current_task()
        assert reader is not None
        self._readers.add(reader)
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await self._send_news(request, response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._readers.discard(reader)
        return response

    def close(self) -> None:
        """End every answer, also those whose readers have gone unnoticed."""
        for reader in tuple(self._readers):
            reader.cancel()

    async def _send_news(self, request: web.Request, response: web.StreamResponse) -> None:
        known: dict[str, str] = {}
        spoken_at = float("-inf")
        await _write(response, f"retry: {_RETRY_MS}\n\n")
        while request.transport is not None:
            status, made = self._newest()
            news = {name: html for name, html in made.items() if known.get(name) != html}
            if news or now() - spoken_at >= _SPEAK_EVERY_S:
                known, spoken_at = made, now()
                await _write(response, _message(status, news))
            await asyncio.sleep(_LOOK_EVERY_S)

    def _newest(self) -> tuple[Status, dict[str, str]]:
        if self._made is None or now() - self._made_at >= _LOOK_EVERY_S / 2:
            status = self._status()
            self._made = status, sections(status)
            self._made_at = now()
        return self._made


def _message(status: Status, news: Mapping[str, str]) -> str:
    told = {"now": status["now"], "title": title(status), "sections": news}
    return f"data: {json.dumps(told)}\n\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        await response.write(text.encode())
