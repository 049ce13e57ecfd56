"""The HTTP server: health and metrics for machines, /status and the page for people.

It shows no secret. `/agent/v1/metrics` and, where that is allowed, `/agent/v1/quit` are Vault
Agent's addresses. `web.guard` says who may ask for what, `web.gate` how many may.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from leasekeeper.errors import ConfigError, Problem
from leasekeeper.telemetry.events import log
from leasekeeper.web.gate import ENDLESS_S, KEEP_ALIVE_S, Connection, Gate
from leasekeeper.web.guard import Audience, Guard, secure
from leasekeeper.web.report import Health, View
from leasekeeper.web.spared import Spared

if TYPE_CHECKING:
    from leasekeeper.web.control import Control
    from leasekeeper.web.exposition import Exposition
    from leasekeeper.web.page.stream import Stream

# Nobody sends us a body; a request that brings one is not for us.
_LARGEST_BODY = 1024
# What a client goes on sending after its answer is read for this long, in seconds.
_LINGER_S = 2.0
_HANDSHAKE_S = 10.0
# Connections that the kernel may keep waiting.
_BACKLOG = 128
# What is under way when the server closes gets this long, in seconds.
_CLOSING_S = 0.5
_UNIX = "unix:"
_OPEN_METRICS = "application/openmetrics-text"


class WebServer:
    """Serves *view*. `start` binds, `close` ends every connection.

    *tls* makes it HTTPS. With *on_quit*, a POST to ``/agent/v1/quit`` calls that. With
    *openmetrics*, /metrics answers in that format whoever asks for it. *audience* may ask for more
    than health and metrics, under an address, ``localhost`` or one of *names*. *control*
    does what operators ask for.
    """

    def __init__(
        self,
        listen: str,
        view: View,
        *,
        tls: ssl.SSLContext | None = None,
        on_quit: Callable[[], None] | None = None,
        openmetrics: bool = False,
        audience: Audience = "loopback",
        names: Collection[str] = (),
        control: Control | None = None,
    ) -> None:
        self._listen = listen
        self._tls = tls
        self._on_quit = on_quit
        self._openmetrics = openmetrics
        self._view = view
        self._control = control
        self._guard = Guard(audience, names)
        self._gate = Gate()
        self._exposition: Exposition | None = None
        self._stream: Stream | None = None
        self._health_answer = Spared(self._make_health)
        self._metrics_answers: dict[str, Spared[tuple[bytes, str]]] = {}
        self._status_answer = Spared(self._view.status)
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve from now on.

        :raises ConfigError: if the address cannot be bound.
        """
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._answer])
        app.on_response_prepare.append(secure)
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/agent/v1/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        app.router.add_get("/status.schema.json", self._schema)
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events, allow_head=False)
        if self._control is not None:
            self._control.add_to(app.router)
        if self._on_quit is not None:
            app.router.add_post("/agent/v1/quit", self._quit)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_CLOSING_S)
        await runner.setup()
        try:
            self._server = await self._bind(runner)
            # uvloop keeps quiet about another process that listens between our bind and listen.
            if not all(self._server.sockets):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        except OSError as error:
            await runner.cleanup()
            raise _cannot_listen(self._listen, error) from error
        self._runner = runner
        self.url = self._url(self._server.sockets[0].getsockname())
        log.info("web.listening", health=f"{self.url}/health", metrics=f"{self.url}/metrics")

    async def _bind(self, runner: web.AppRunner) -> asyncio.Server:
        handshake_s = None if self._tls is None else _HANDSHAKE_S
        loop, logger = asyncio.get_running_loop(), _silent()

        def connection() -> Connection:
            assert runner.server is not None
            return Connection(
                self._gate,
                runner.server,
                access_log=None,
                keepalive_timeout=KEEP_ALIVE_S,
                lingering_time=_LINGER_S,
                logger=logger,
            )

        if self._listen.startswith(_UNIX):
            path = self._listen.removeprefix(_UNIX)
            return await loop.create_unix_server(
                connection, path, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        host, _, port = self._listen.rpartition(":")
        return await loop.create_server(
            connection,
            host.strip("[]") or None,
            int(port),
            reuse_address=True,
            backlog=_BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=handshake_s,
        )

    def _url(self, address: object) -> str:
        if not isinstance(address, tuple):
            return f"{_UNIX}{address}"
        host, port = address[:2]
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def close(self) -> None:
        """Stop serving; open requests get half a second."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._gate.close()
        if self._stream is not None:
            self._stream.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            if self._listen.startswith(_UNIX):
                with contextlib.suppress(OSError):
                    os.unlink(self._listen.removeprefix(_UNIX))

    @web.middleware
    async def _answer(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        self._gate.busy(request.protocol)
        try:
            self._guard.check(request)
            return await handler(request)
        except web.HTTPException as error:
            if self._control is not None and request.path.startswith("/v1/"):
                return _json_error(error)
            raise
        except Exception as error:  # noqa: BLE001 - it ends this request and nothing else
            log.error("agent.bug", task=f"web {request.path}", exc_info=error)
            return web.Response(status=500, text="this is a bug in Leasekeeper\n")
        finally:
            self._gate.idle(request.protocol)

    # -- for machines ---------------------------------------------------------------------------

    async def _health(self, _request: web.Request) -> web.Response:
        ok, body = self._health_answer.get()
        return _json(body, ok=ok, kind="application/health+json")

    def _make_health(self) -> tuple[bool, bytes]:
        body = self._view.health_json()
        return Health(body["state"]).ok, _encoded(body)

    async def _live(self, _request: web.Request) -> web.Response:
        return _json(_encoded({"status": "pass"}), ok=True)

    async def _ready(self, _request: web.Request) -> web.Response:
        ready = self._view.settled
        state = self._view.health().value
        return _json(_encoded({"status": "pass" if ready else "fail", "state": state}), ok=ready)

    async def _metrics(self, request: web.Request) -> web.Response:
        accept = _OPEN_METRICS if _OPEN_METRICS in request.headers.get("Accept", "") else ""
        if accept not in self._metrics_answers:
            self._metrics_answers[accept] = Spared(partial(self._make_metrics, accept))
        text, kind = self._metrics_answers[accept].get()
        return web.Response(body=text, headers={"Content-Type": kind})

    def _make_metrics(self, accept: str) -> tuple[bytes, str]:
        from leasekeeper.web.exposition import Exposition

        if self._exposition is None:
            self._exposition = Exposition(self._view, openmetrics=self._openmetrics)
        return self._exposition.text(accept)

    async def _quit(self, _request: web.Request) -> web.Response:
        assert self._on_quit is not None
        self._on_quit()
        return web.Response()

    # -- for people -----------------------------------------------------------------------------

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(_encoded(self._status_answer.get()), ok=True)

    async def _schema(self, _request: web.Request) -> web.Response:
        from leasekeeper.web.schema import status_schema

        return _json(_encoded(status_schema()), ok=True, kind="application/schema+json")

    async def _openapi(self, _request: web.Request) -> web.Response:
        from leasekeeper.web.openapi import openapi

        return _json(_encoded(openapi()), ok=True)

    async def _page(self, _request: web.Request) -> web.Response:
        from leasekeeper.web.page.document import page, policy

        html = page(self._status_answer.get()).encode("utf-8", "backslashreplace")
        headers = {"Content-Security-Policy": policy()}
        return web.Response(body=html, content_type="text/html", charset="utf-8", headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        from leasekeeper.web.page.stream import Stream

        if self._stream is None:
            self._stream = Stream(self._status_answer.get)
        self._gate.busy(request.protocol, ENDLESS_S)
        return await self._stream.serve(request)


def _json_error(error: web.HTTPException) -> web.Response:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    body = {"error": (error.text or error.reason).strip()}
    return web.json_response(body, status=error.status, headers=headers)


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


def _encoded(body: Mapping[str, object]) -> bytes:
    return f"{json.dumps(body, indent=1)}\n".encode()


def _json(body: bytes, *, ok: bool, kind: str = "application/json") -> web.Response:
    return web.Response(body=body, status=200 if ok else 503, content_type=kind, charset="utf-8")
