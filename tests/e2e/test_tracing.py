"""Traces of the whole program at a collector, good or hung; and none where none are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.program import Leasekeeper
from tests.short_lives import short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

TRACED = "traces: {enabled: true}\n"


class Collector:
    """Takes spans, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        self.spans: dict[str, list[dict[str, str]]] = {}
        self.asked, self.ended = asyncio.Event(), asyncio.Event()
        self._hangs = hangs

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.asked.set()
        if self._hangs:
            await self.ended.wait()
            return web.Response()
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    noted = {each.key: each.value.string_value for each in span.attributes}
                    self.spans.setdefault(span.name, []).append(noted)
        return web.Response()


@asynccontextmanager
async def collecting(*, hangs: bool = False) -> AsyncIterator[tuple[Collector, dict[str, str]]]:
    collector = Collector(hangs=hangs)
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield (
            collector,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
                "OTEL_BSP_SCHEDULE_DELAY": "200",
            },
        )
    finally:
        collector.ended.set()
        await runner.cleanup()


async def test_requests_and_publishes_reach_the_collector(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "traced", token_s=600, lease_s=600, max_lease_s=600)
    async with (
        collecting() as (collector, env),
        Leasekeeper(config=setup.config(tmp_path / "a", TRACED), env=env) as program,
    ):
        await program.event("agent.ready")
        (mint,) = program.events("secret.fetched")
        code, _ = await program.stop()

    (read,) = collector.spans["vault read"]
    (publish,) = collector.spans["publish"]
    assert code == 0
    assert read["vault.path"] == setup.secret
    assert read["vault.request_id"] == mint["request_id"]
    assert publish == {
        "leasekeeper.output": str(tmp_path / "a"),
        "leasekeeper.outcome": "published",
    }
    assert "vault login" in collector.spans
    password = (tmp_path / "a").read_text().partition(":")[2]
    assert password not in str(collector.spans)


async def test_a_collector_that_hangs_holds_up_neither_the_start_nor_the_end(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "hung", token_s=600, lease_s=600, max_lease_s=600)
    async with (
        collecting(hangs=True) as (collector, env),
        Leasekeeper(config=setup.config(tmp_path / "a", TRACED), env=env) as program,
    ):
        await program.event("agent.ready")
        await collector.asked.wait()
        code, took_s = await program.stop()

    assert code == 0
    assert took_s < 8  # the collector is waited for for 10 s otherwise


async def test_traces_without_a_collector_are_a_mistake_of_the_configuration(
    tmp_path: Path,
) -> None:
    config = (
        "auth: {method: approle, role_id: r, secret_id: s}\n"
        f"outputs: [{{destination: {tmp_path}/a, template: x}}]\n{TRACED}"
    )
    async with Leasekeeper(config=config) as program:
        code = await program.ended()

    assert code == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in program.text
