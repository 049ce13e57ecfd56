"""The HTTP server: /health, /health/live, /health/ready, /metrics and /status. It shows no secret.

`/agent/v1/metrics` and, where that is allowed, `/agent/v1/quit` are Vault Agent's addresses.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from leasekeeper.errors import ConfigError, Problem
from leasekeeper.telemetry.events import log
from leasekeeper.web.report import Health, View

if TYPE_CHECKING:
    from leasekeeper.web.exposition import Exposition

# Nobody sends us a body; a request that brings one is not for us.
_LARGEST_BODY = 1024
# Idle connections of scrapers are kept this long, in seconds.
_KEEPALIVE_S = 75.0
# What is under way when the server closes gets this long, in seconds.
_CLOSING_S = 0.5
_UNIX = "unix:"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class WebServer:
    """Serves *view*. `start` binds, `close` ends every connection.

    *tls* makes it HTTPS. With *on_quit*, a POST to ``/agent/v1/quit`` calls that. With
    *openmetrics*, /metrics answers in that format whoever asks for it.
    """

    def __init__(
        self,
        listen: str,
        view: View,
        *,
        tls: ssl.SSLContext | None = None,
        on_quit: Callable[[], None] | None = None,
        openmetrics: bool = False,
    ) -> None:
        self._listen = listen
        self._tls = tls
        self._on_quit = on_quit
        self._openmetrics = openmetrics
        self._view = view
        self._exposition: Exposition | None = None
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve from now on.

        :raises ConfigError: if the address cannot be bound.
        """
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_bugs_reported])
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/agent/v1/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        app.router.add_get("/status.schema.json", self._schema)
        if self._on_quit is not None:
            app.router.add_post("/agent/v1/quit", self._quit)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=_CLOSING_S,
            logger=_silent(),
        )
        await runner.setup()
        site = self._site(runner)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise _cannot_listen(self._listen, error) from error
        self._runner = runner
        self.url = self._url(runner.addresses[0])
        log.info("web.listening", health=f"{self.url}/health", metrics=f"{self.url}/metrics")

    def _site(self, runner: web.AppRunner) -> web.BaseSite:
        if self._listen.startswith(_UNIX):
            path = self._listen.removeprefix(_UNIX)
            return web.UnixSite(runner, path, ssl_context=self._tls)
        host, _, port = self._listen.rpartition(":")
        return web.TCPSite(
            runner, host.strip("[]") or None, int(port), reuse_address=True, ssl_context=self._tls
        )

    def _url(self, address: object) -> str:
        if not isinstance(address, tuple):
            return f"{_UNIX}{address}"
        host, port = address[:2]
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def close(self) -> None:
        """Stop serving; open requests get half a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            if self._listen.startswith(_UNIX):
                with contextlib.suppress(OSError):
                    os.unlink(self._listen.removeprefix(_UNIX))

    async def _health(self, _request: web.Request) -> web.Response:
        body = self._view.health_json()
        return _json(body, ok=Health(body["state"]).ok, kind="application/health+json")

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"status": "pass"}, ok=True)

    async def _ready(self, _request: web.Request) -> web.Response:
        ready = self._view.settled
        state = self._view.health().value
        return _json({"status": "pass" if ready else "fail", "state": state}, ok=ready)

    async def _metrics(self, request: web.Request) -> web.Response:
        from leasekeeper.web.exposition import Exposition

        if self._exposition is None:
            self._exposition = Exposition(self._view, openmetrics=self._openmetrics)
        text, kind = self._exposition.text(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={**_HEADERS, "Content-Type": kind})

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._view.status(), ok=True)

    async def _schema(self, _request: web.Request) -> web.Response:
        from leasekeeper.web.schema import status_schema

        return _json(status_schema(), ok=True, kind="application/schema+json")

    async def _quit(self, _request: web.Request) -> web.Response:
        assert self._on_quit is not None
        self._on_quit()
        return web.Response(headers=_HEADERS)


@web.middleware
async def _bugs_reported(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - it ends this request and nothing else
        log.error("agent.bug", task=f"web {request.path}", exc_info=error)
        return web.Response(status=500, text="this is a bug in Leasekeeper\n", headers=_HEADERS)


def _silent() -> logging.Logger:
    """Return a logger that says nothing.

    aiohttp logs an error with a traceback for whatever is not HTTP, so that anybody who reaches
    the port could fill the log.
    """
    logger = logging.getLogger("leasekeeper.web")
    logger.disabled = True
    return logger


def _cannot_listen(where: str, error: OSError) -> ConfigError:
    # Resolving a name fails with numbers of its own, below 0.
    number = error.errno or 0
    reason = os.strerror(number).lower() if number > 0 else error.strerror or "not possible"
    text = (
        f"web.listen: cannot listen on {where}: {reason}; "
        "set web.listen (LEASEKEEPER_WEB__LISTEN) to another address, or to off"
    )
    return ConfigError(Problem(text, "LK-CONF-007"))


def _json(body: Mapping[str, object], *, ok: bool, kind: str = "application/json") -> web.Response:
    return web.Response(
        text=json.dumps(body, indent=1) + "\n",
        status=200 if ok else 503,
        content_type=kind,
        headers=_HEADERS,
    )
