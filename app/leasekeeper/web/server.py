"""The HTTP server: /health, /health/live, /health/ready and /metrics. It shows no secret."""

from __future__ import annotations

import json

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from leasekeeper.errors import ConfigError
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import REGISTRY
from leasekeeper.web.gauges import StateCollector
from leasekeeper.web.report import Reporter

# Nobody sends us a body; a request that brings one is not for us.
_LARGEST_BODY = 1024
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class WebServer:
    """Serves the reporter's view. `start` binds, `close` ends every connection."""

    def __init__(self, listen: str, reporter: Reporter) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._reporter = reporter
        self._state = CollectorRegistry()
        self._state.register(StateCollector(reporter))
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and serve from now on.

        :raises ConfigError: if the address cannot be bound.
        """
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, self._host or None, self._port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            where = f"{self._host}:{self._port}"
            msg = f"web.listen: cannot listen on {where}: {error.strerror or 'not possible'}"
            raise ConfigError(f"{msg}; set web.listen (LEASEKEEPER_WEB__LISTEN)") from error
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("web.listening", health=f"{self.url}/health", metrics=f"{self.url}/metrics")

    async def close(self) -> None:
        """Stop serving; open requests get half a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _request: web.Request) -> web.Response:
        health = self._reporter.health()
        return _json(self._reporter.health_json(), ok=health.ok, kind="application/health+json")

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"status": "pass"}, ok=True)

    async def _ready(self, _request: web.Request) -> web.Response:
        health = self._reporter.health()
        return _json(
            {"status": "pass" if health.ok else "fail", "state": health.value}, ok=health.ok
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(REGISTRY) + generate_latest(self._state)
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST})


def _json(body: dict[str, object], *, ok: bool, kind: str = "application/json") -> web.Response:
    return web.Response(
        text=json.dumps(body, indent=1) + "\n",
        status=200 if ok else 503,
        content_type=kind,
        headers=_HEADERS,
    )
