"""What the README promises, on real servers and with a real application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from leasekeeper.devstack.faults import Fault
from leasekeeper.devstack.product_setup import DatabaseRules, TokenRules
from leasekeeper.devstack.world import World, WorldSettings
from tests.program import Leasekeeper, until

pytestmark = pytest.mark.e2e

TEMPLATE = """\
{
  {{- with secret "learn/database/creds/product" }}
  "db_connection": "host=127.0.0.1 port=PORT user={{ .Data.username }} \
password={{ .Data.password }} dbname=products sslmode=disable",
  {{- end }}
  "bind_address": ":9090"
}
"""


def config(world: World, destination: Path, more: str = "") -> str:
    """Return a configuration with the tutorial's output."""
    template = TEMPLATE.replace("PORT", str(world.postgres.port))
    indented = "".join(f"      {line}\n" for line in template.splitlines())
    return (
        f"auth: {{method: aws_iam, role: {world.settings.role}}}\n"
        f"outputs:\n  - destination: {destination}\n    validate: json\n    template: |\n"
        f"{indented}{more}"
    )


@dataclass
class Application:
    """Reads the file and logs in to PostgreSQL, again and again, as the strictest user would."""

    path: Path
    logins: int = 0
    users: list[str] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)

    async def use(self, seconds: float, every_s: float = 0.05) -> None:
        """Log in every *every_s* seconds."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            started = time.monotonic()
            try:
                await self.log_in()
            except (OSError, ValueError, KeyError, psycopg.Error) as error:
                self.failures.append((started - began, f"{type(error).__name__}: {error}"))
            await asyncio.sleep(max(every_s - (time.monotonic() - started), 0))

    async def log_in(self) -> None:
        """Read the file once and log in once."""
        dsn = json.loads(self.path.read_text(encoding="utf-8"))["db_connection"]
        user = dsn.partition("user=")[2].partition(" ")[0]
        if not self.users or self.users[-1] != user:
            self.users.append(user)
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute("SELECT 1")
        self.logins += 1


async def test_an_application_sees_no_failed_login_in_three_minutes(tmp_path: Path) -> None:
    """Role TTL 10 s, max 30 s; token TTL 20 s, max 45 s: rotations and re-logins, no gap."""
    settings = WorldSettings(
        database=DatabaseRules(ttl_s=10, max_ttl_s=30), tokens=TokenRules(ttl_s=20, max_ttl_s=45)
    )
    conf = tmp_path / "conf.json"
    async with (
        World(settings) as world,
        Leasekeeper(env=world.environment(), config=config(world, conf)) as program,
    ):
        await program.event("agent.ready")
        application = Application(conf)
        await application.use(seconds=180)
        events = program.events()
        code, _ = await program.stop()

    logins = sum(event["event"] == "token.login_succeeded" for event in events)
    assert application.failures == []
    assert application.logins > 1500
    assert len(application.users) >= 6
    assert logins >= 4
    assert code == 0


async def revoke_all_leases(world: World) -> None:
    await world.revoke_prefix()


async def revoke_the_token(world: World) -> None:
    for accessor in await world.task_token_accessors():
        await world.revoke_token(accessor)


@pytest.mark.parametrize("revoke", [revoke_all_leases, revoke_the_token])
async def test_a_revocation_is_healed_within_the_probe_interval(
    tmp_path: Path, revoke: Callable[[World], Awaitable[None]]
) -> None:
    """P5, with TTLs of an hour: nothing but the probe can notice."""
    conf = tmp_path / "conf.json"
    async with (
        World() as world,
        Leasekeeper(
            env={**world.environment(), "LEASEKEEPER_PROBE__INTERVAL": "2s"},
            config=config(world, conf),
        ) as program,
    ):
        await program.event("agent.ready")
        application = Application(conf)
        await application.log_in()
        await revoke(world)
        began = time.monotonic()
        await program.event("file.published", count=2, within_s=10)
        healed_s = time.monotonic() - began
        await application.log_in()
        leases = await world.leases()
        tokens = await world.task_token_accessors()

    assert healed_s <= 3
    assert len(application.users) == 2
    assert len(leases) == 1
    assert len(tokens) == 1


async def test_an_outage_drops_nothing_and_health_says_degraded(tmp_path: Path) -> None:
    """P4: the file stays, health stays 200, and the recovery follows within seconds."""
    conf = tmp_path / "conf.json"
    async with (
        World() as world,
        Leasekeeper(
            env={**world.environment(), "LEASEKEEPER_PROBE__INTERVAL": "1s"},
            config=config(world, conf),
        ) as program,
    ):
        await program.event("agent.ready")
        content = conf.read_bytes()
        outage = world.gateway.faults.add(Fault(kind="drop", times=None))
        await program.event("vault.unreachable")
        status, body = await program.get("/health")
        degraded = json.loads(body)
        world.gateway.faults.remove(outage)
        began = time.monotonic()
        await program.event("vault.reachable_again")
        back_s = time.monotonic() - began
        async with asyncio.timeout(5):
            while (await program.health())["state"] != "healthy":
                await asyncio.sleep(0.05)
        leases = await world.leases()

    assert (status, degraded["state"], degraded["status"]) == (200, "degraded", "warn")
    assert back_s <= 3
    assert conf.read_bytes() == content
    assert len(leases) == 1


async def test_one_request_and_one_lease_serve_many_outputs(tmp_path: Path) -> None:
    """P7: N templates that read the same secret cost one mint."""
    outputs = "".join(
        f"  - destination: {tmp_path}/{n}\n"
        '    template: \'{{ with secret "learn/database/creds/product" }}'
        "{{ .Data.username }}{{ end }}'\n"
        for n in range(20)
    )
    async with World() as world:
        text = f"auth: {{method: aws_iam, role: {world.settings.role}}}\noutputs:\n{outputs}"
        async with Leasekeeper(env=world.environment(), config=text) as program:
            await program.event("agent.ready")
            leases = await world.leases()
            reads = world.gateway.count("/v1/learn/database/creds/product")

    assert len({(tmp_path / str(n)).read_text() for n in range(20)}) == 1
    assert len(leases) == 1
    assert reads == 1


async def test_a_broken_output_costs_the_others_nothing(tmp_path: Path) -> None:
    """P6 and P2: one output fails on its data, the other is published; no request is repeated."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    start = '{{ with secret "learn/database/creds/product" }}'
    outputs = (
        f"  - destination: {good}\n    template: '{start}{{{{ .Data.username }}}}{{{{ end }}}}'\n"
        f"  - destination: {bad}\n    template: '{start}{{{{ .Data.nope }}}}{{{{ end }}}}'\n"
    )
    async with World() as world:
        filled = f"auth: {{method: aws_iam, role: {world.settings.role}}}\noutputs:\n{outputs}"
        async with Leasekeeper(env=world.environment(), config=filled) as program:
            await program.event("template.render_failed")
            await until(good.exists)
            code = await program.ended(within_s=40)
            leases = await world.leases()

    failed = program.events("agent.failed")[-1]
    assert code == 4
    assert 'map has no entry for key "nope"' in failed["error"]
    assert len(leases) == 1
    assert not bad.exists()
