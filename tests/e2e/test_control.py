"""What an operator asks the running program for, by command and by request."""

from __future__ import annotations

import asyncio
import stat
import sys
from pathlib import Path

import pytest

from tests.program import Leasekeeper, inherited
from tests.short_lives import short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


async def command(program: Leasekeeper, token_file: Path, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leasekeeper", *words,
        "--listen", f"127.0.0.1:{program.port}", "--token-file", str(token_file),
        env=inherited(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_refresh_rotate_and_quit_do_what_they_say(world: SharedWorld, tmp_path: Path) -> None:
    setup = await short_lives(
        world, "ruled", token_s=600, lease_s=600, max_lease_s=600, paths=("kv/ruled",)
    )
    write = world.parts.admin.write
    await world.run(write("kv/ruled", colour="red"))
    token_file, out, colour = tmp_path / "run" / "token", tmp_path / "a", tmp_path / "colour"
    template = '{{ with secret "kv/ruled" }}{{ .Data.colour }}{{ end }}'
    config = setup.config(
        out,
        f"  - {{destination: {colour}, template: '{template}'}}\n"
        "secrets: {static_secret_render_interval: 1h, mint_budget: {count: 2}}\n"
        f"web: {{control_token_file: {token_file}, page: 'off'}}\n",
    ).replace("secrets: {overlap: 1s}\n", "", 1)
    async with Leasekeeper(config=config) as program:
        await program.event("agent.ready")
        token, before = token_file.read_text(), out.read_text()
        mode = stat.S_IMODE(token_file.stat().st_mode)
        await world.run(write("kv/ruled", colour="blue"))
        refreshed = await command(program, token_file, "refresh")
        await program.event("secret.rotated")
        await program.event("file.published", count=3)
        rotated = await command(program, token_file, "rotate", setup.secret)
        await program.event("file.published", count=4)
        leases = await world.run(world.parts.leases(setup.secret))
        spent = await command(program, token_file, "rotate", setup.secret)
        static = await command(program, token_file, "rotate", "kv/ruled")
        unknown = await command(program, token_file, "rotate", "kv/rulde")
        (tmp_path / "other").write_text("not the token")
        stranger = await command(program, tmp_path / "other", "quit")
        stopped = await command(program, token_file, "quit")
        code = await program.ended()

    assert (mode, colour.read_text()) == (0o600, "blue")
    assert refreshed == (0, f"kv/ruled: read\n{setup.secret}: look up\n")
    assert rotated == (0, f"{setup.secret}: rotate\n")
    assert out.read_text() != before
    # The old credential was not cut off: it has its own end.
    assert len(leases) == 2
    assert spent[0] == static[0] == unknown[0] == stranger[0] == 1
    assert "mint budget" in spent[1]
    assert "refresh it" in static[1]
    assert "did you mean 'kv/ruled'" in unknown[1]
    assert "token" in stranger[1]
    assert (stopped, code) == ((0, ""), 0)
    assert not token_file.exists()
    assert token not in program.text
    actions = [event["action"] for event in program.events("control.done")]
    assert actions == ["refresh", "rotate", "quit"]


async def test_a_command_without_a_process_says_so(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    program = Leasekeeper()
    nobody = await command(program, tmp_path / "token", "refresh")
    missing = await command(program, tmp_path / "nowhere", "refresh")

    assert nobody[0] == missing[0] == 1
    assert "is it running" in nobody[1]
    assert "nowhere" in missing[1]
