"""No secret value in anything that the process writes for people (promise P8)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from leasekeeper.devstack.faults import Fault
from leasekeeper.devstack.product_setup import DatabaseRules, TokenRules
from leasekeeper.devstack.world import World, WorldSettings
from tests.program import Leasekeeper, until

pytestmark = pytest.mark.e2e

CANARIES = {"password": "canary-kv-Zq81", "multi": "canary-line-one\ncanary-line-two-is-longer"}


async def test_a_whole_run_at_debug_level_shows_no_canary(tmp_path: Path) -> None:
    """Logins, rotations, failing templates, broken answers, a refused publish, health, metrics."""
    settings = WorldSettings(
        database=DatabaseRules(ttl_s=5, max_ttl_s=12), tokens=TokenRules(ttl_s=10, max_ttl_s=20)
    )
    creds = tmp_path / "creds"
    blocked = tmp_path / "blocked" / "out"
    text = f"""
auth: {{method: aws_iam, role: {settings.role}}}
log: {{level: debug}}
probe: {{interval: 1s}}
secrets: {{static_secret_render_interval: 1s}}
outputs:
  - destination: {creds}
    template: '{{{{ with secret "learn/database/creds/product" }}}}{{{{ .Data.username }}}} \
{{{{ .Data.password }}}}{{{{ end }}}}'
  - destination: {tmp_path}/app.env
    secret: secret/canary
    format: dotenv
    notify: {{command: {{command: [sh, -c, "cat {creds}; exit 3"]}}, retries: 1}}
  - destination: {blocked}
    template: '{{{{ with secret "secret/canary" }}}}{{{{ .Data.data.password }}}}{{{{ end }}}}'
"""
    seen: set[str] = set(CANARIES.values())
    surfaces = []
    async with World(settings) as world:
        await world.admin.write("secret/data/canary", data=CANARIES)
        environment = world.environment()
        async with Leasekeeper(env=environment, config=text) as program:
            await program.event("agent.ready")
            blocked.unlink()
            blocked.mkdir()
            await world.admin.write(
                "secret/data/canary", data={**CANARIES, "password": "canary-kv-second"}
            )
            await program.event("file.publish_failed")
            broken = world.gateway.faults.add(
                Fault(kind="status", path="/v1/secret", status=500, times=3)
            )
            for _ in range(5):
                user, _, password = creds.read_text(encoding="utf-8").partition(" ")
                seen |= {user, password}
                surfaces += [(await program.get(path))[1] for path in ("/health", "/metrics")]
                await asyncio.sleep(2)
            await until(lambda: broken.befallen > 0)
            await program.event("token.login_succeeded", count=2)
            await world.set_policy('path "sys/health" { capabilities = ["read"] }')
            await program.event("secret.fetch_failed")
            cmdline = Path(f"/proc/{program.process.pid}/cmdline").read_text(encoding="utf-8")
            await program.stop()

    seen |= {"canary-kv-second", environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}
    everything = "\n".join([program.text, cmdline, *surfaces])
    for value in seen:
        for line in value.splitlines():
            assert line not in everything
    assert re.search(r"(hvs|s|b)\.[A-Za-z0-9]{20,}", everything) is None  # tokens
    assert "Signature=" not in everything
    assert "lease.renewed" in everything
