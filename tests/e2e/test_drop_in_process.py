"""What `vault agent` does besides secrets: pid, log file, signals, quit, flags."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import aiohttp
import pytest

from leasekeeper.devstack.processes import free_port
from tests.e2e.test_drop_in import app_role
from tests.program import Leasekeeper
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


async def test_pid_log_reload_and_quit(world: SharedWorld, tmp_path: Path) -> None:
    method = await app_role(world, tmp_path)
    path, pid, port = tmp_path / "agent.hcl", tmp_path / "pid", free_port()
    text = f"""
pid_file = "{pid}"
log_level = "warn"
log_file = "{tmp_path}/"
auto_auth {{{method}
}}
template {{
  contents = "x"
  destination = "{tmp_path}/out"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  role = "metrics_only"
  tls_disable = true
  agent_api {{ enable_quit = true }}
}}
"""
    path.write_text(text, encoding="utf-8")
    env = {
        "BAO_ADDR": world.parts.address,
        "VAULT_ADDR": "http://127.0.0.1:1",
        "BAO_AGENT_CONFIG_PATH": str(path),
        "LEASEKEEPER_WEB__LISTEN": f"127.0.0.1:{port}",
    }
    async with Leasekeeper("agent", "-log-level=info", "-header=a=b", env=env) as program:
        await program.event("agent.ready")
        assert pid.read_text(encoding="utf-8") == str(program.process.pid)
        program.process.send_signal(signal.SIGHUP)
        reloaded = await program.event("agent.reloaded")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{port}/agent/v1/quit") as answer,
        ):
            assert answer.status == 200
        code = await program.ended()

    assert code == 0, program.text
    assert reloaded["log_level"] == "info"  # the flag still counts
    assert not pid.exists()
    copy = (tmp_path / "leasekeeper.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in copy] == [
        json.loads(line)["event"] for line in program.lines
    ]
    assert any("-header has no effect" in line for line in program.lines)


async def test_only_verifying_says_so_and_ends(world: SharedWorld, tmp_path: Path) -> None:
    method = await app_role(world, tmp_path)
    path = tmp_path / "agent.hcl"
    path.write_text(
        f'auto_auth {{{method}\n sink "file" {{ config = {{ path = "{tmp_path}/t" }} }}\n}}\n',
        encoding="utf-8",
    )
    async with Leasekeeper("agent", f"-config={path}", "-test-verify-only") as program:
        code = await program.ended()

    assert code == 0
    assert not (tmp_path / "t").exists()


async def test_no_configuration_is_told(world: SharedWorld) -> None:
    async with Leasekeeper("agent") as program:
        code = await program.ended()

    assert code == 2
    assert "name a file or directory with -config, or set BAO_AGENT_CONFIG_PATH" in program.text
