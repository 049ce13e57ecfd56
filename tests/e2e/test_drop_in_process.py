"""What `vault agent` does besides secrets: pid, log file, signals, quit, flags."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import aiohttp
import pytest

from leasekeeper.devstack.processes import free_port
from tests.e2e.test_drop_in import app_role, run_bao, run_ours
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


async def test_backups_and_modes_are_the_agents(world: SharedWorld, tmp_path: Path) -> None:
    method = await app_role(world, tmp_path)
    found = {}
    for name in ("theirs", "ours"):
        folder = tmp_path / name
        folder.mkdir()
        for file, mode in (("kept", 0o604), ("set", 0o604), ("same", 0o600)):
            (folder / file).write_text("same" if file == "same" else "old", encoding="utf-8")
            (folder / file).chmod(mode)
        path = tmp_path / f"{name}.hcl"
        path.write_text(
            f"auto_auth {{{method}\n}}\ncache {{}}\n"
            + "".join(
                f'template {{ contents = "{contents}" destination = "{folder}/{file}" {more} }}\n'
                for file, contents, more in (
                    ("kept", "new", "backup = true"),
                    ("set", "new", 'backup = true perms = "0640" wait {{ min = "1h" }}'),
                    ("same", "same", 'backup = true wait = "1h:2h"'),
                    ("new", "new", "backup = true"),
                )
            )
            .replace("{{", "{")
            .replace("}}", "}"),
            encoding="utf-8",
        )
        await (run_bao if name == "theirs" else run_ours)(world, path)
        found[name] = {
            file.name: (file.read_bytes(), oct(file.stat().st_mode & 0o777))
            for file in sorted(folder.iterdir())
        }

    assert found["ours"] == found["theirs"]
    assert found["ours"]["kept"] == (b"new", "0o604")
    assert found["ours"]["kept.bak"] == (b"old", "0o604")
    assert set(found["ours"]) == {"kept", "kept.bak", "set", "set.bak", "same", "new"}
