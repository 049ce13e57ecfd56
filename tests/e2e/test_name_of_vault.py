"""The whole program while the name of Vault moves, is unknown, or is answered by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.test_promises import Application
from tests.fakes.names import SILENT, UNKNOWN, Answer
from tests.program import Leasekeeper
from tests.short_lives import short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

NAME = "vault.example.test"
ROOT = Path(__file__).parents[2]
OLD, NEW = "127.0.0.2", "127.0.0.1"


@contextlib.asynccontextmanager
async def relay(port: int) -> AsyncIterator[None]:
    """Be the old address of what listens on *port* of the new one; the end cuts everything off."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other = await asyncio.open_connection(NEW, port)
        writers.update((writer, other))
        await asyncio.gather(_copy(reader, other), _copy(other_reader, writer))

    server = await asyncio.start_server(serve, OLD, port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_no_login_of_an_application_is_refused_whatever_dns_says(
    world: SharedWorld, tmp_path: Path
) -> None:
    """Credentials live for 5 s: what is not renewed in time is missed."""
    table, conf = tmp_path / "names.json", tmp_path / "conf.json"
    lives = await short_lives(world, "named", token_s=6, lease_s=5, max_lease_s=12)
    port = int(world.parts.gateway.address.rpartition(":")[2])

    def answer(found: Answer) -> None:
        new = table.with_suffix(".new")
        new.write_text(json.dumps({NAME: found}), encoding="utf-8")
        new.rename(table)

    dsn = f"host=127.0.0.1 port={world.parts.postgres.port} dbname=products sslmode=disable"
    template = (
        f'{{{{ with secret "{lives.secret}" }}}}{{"db_connection": "{dsn} '
        'user={{ .Data.username }} password={{ .Data.password }}"}{{ end }}'
    )
    config = (
        f"{lives.config(None)}probe: {{interval: 2s}}\n"
        f"outputs:\n  - destination: {conf}\n    template: '{template}'\n"
    ).replace(lives.address, f"http://{NAME}:{port}")
    answer(["127.0.0.3", OLD])  # nobody listens at the first
    async with contextlib.AsyncExitStack() as old:
        await old.enter_async_context(relay(port))
        async with Leasekeeper(
            str(table), "run", config=config, cwd=ROOT, module="tests.fakes.names"
        ) as program:
            await program.event("agent.ready")
            application = Application(conf)
            for count, name_service in enumerate((UNKNOWN, SILENT), 1):
                answer(name_service)
                program.process.send_signal(signal.SIGHUP)  # new connections from now on
                await application.use(4, every_s=0.2)
                await program.event("vault.name_failed", count=count)
                answer([OLD])
                program.process.send_signal(signal.SIGHUP)
                await application.use(1, every_s=0.2)
                await program.event("vault.name_recovered", count=count)
            state = (await program.health())["state"]
            answer([NEW])
            await old.aclose()  # a fail-over
            await application.use(5, every_s=0.2)
            after = await program.health()
            assert (await program.stop())[0] == 0

    assert application.failures == []
    assert (state, after["state"], after["reasons"]) == ("healthy", "healthy", [])
    assert len(program.events("vault.name_failed")) == 2
    assert all(event["host"] == NAME for event in program.events("vault.name_failed"))


async def test_health_names_the_name_that_nobody_knows(tmp_path: Path) -> None:
    table = tmp_path / "names.json"
    table.write_text(json.dumps({NAME: UNKNOWN}), encoding="utf-8")
    config = (
        f'vault: {{address: "http://{NAME}:8200"}}\n'
        "auth: {method: approle, role_id: r, secret_id: s}\n"
        f"outputs: [{{destination: {tmp_path}/out, format: json, secret: secret/data/x}}]\n"
    )
    async with Leasekeeper(
        str(table), "run", config=config, cwd=ROOT, module="tests.fakes.names"
    ) as program:
        await program.event("token.login_failed")
        told = (await program.health())["reasons"]

    assert any(f"http://{NAME}:8200 has a host name that cannot be resolved" in x for x in told)
