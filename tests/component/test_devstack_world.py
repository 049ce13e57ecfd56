"""A world starts as a whole, says how to use it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from leasekeeper.devstack.errors import DevstackError
from leasekeeper.devstack.processes import leftovers
from leasekeeper.devstack.waiting import until
from leasekeeper.devstack.world import World, WorldSettings
from tests.world import SharedWorld, world

__all__ = ["world"]

SOURCE = str(Path(__file__).parents[2] / "app")


@asynccontextmanager
async def up(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Run `python -m leasekeeper.devstack up --json` and yield the process and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "leasekeeper.devstack", "up", "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_up_says_how_to_use_the_world_and_ends_on_sigterm() -> None:
    async with up("--role-ttl", "7", "--namespace", "admin") as (process, said):
        environment = said["environment"]
        headers = {
            "X-Vault-Token": said["root_token"],
            "X-Vault-Namespace": environment["VAULT_NAMESPACE"],
        }
        address = f"{environment['VAULT_ADDR']}/v1/{said['creds_path']}"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as got:
            issued = await got.json()
        process.send_signal(signal.SIGTERM)

        assert await process.wait() == 0
        assert issued["lease_duration"] == 7
        assert leftovers(said["id"]) == []
        assert not _exists(said["directory"])


async def test_a_killed_world_takes_its_processes_and_directories_along() -> None:
    async with up() as (process, said):
        running = leftovers(said["id"])
        postgres = [pid for pid in running if _name(pid).startswith("postgres")]
        data = _data_directory(postgres)
        process.kill()
        await process.wait()

        directories = (Path(said["directory"]), data.parent)
        await until(
            lambda: not leftovers(said["id"]) and not any(map(_exists, directories)),
            period_s=0.02,
        )

        assert len(running) > 3
        assert postgres


def _exists(path: str | Path) -> bool:
    return Path(path).exists()


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def _data_directory(pids: list[int]) -> Path:
    """Return what PostgreSQL was started with; its children have other titles."""
    for pid in pids:
        words = _command_line(pid).split("\0")
        if "-D" in words:
            return Path(words[words.index("-D") + 1])
    raise AssertionError("PostgreSQL is not running")


async def test_no_secret_is_on_a_command_line_or_in_a_file_for_others(world: SharedWorld) -> None:
    parts = world.parts
    lines = "".join(map(_command_line, leftovers(parts.id)))

    assert parts.openbao.root_token not in lines
    assert parts.postgres.password not in lines
    assert parts.ecs.token not in lines
    assert stat.S_IMODE(parts.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(parts.ecs.token_file.stat().st_mode) == 0o600


async def test_servers_inherit_nothing_that_could_lead_them_astray(
    world: SharedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://elsewhere")
    monkeypatch.setenv("AWS_PROFILE", "private")

    environment = world.parts.processes.environment(Path("/home/of/it"))

    assert set(environment) - {"PYTHONPATH", "LD_LIBRARY_PATH"} == {
        "PATH", "HOME", "TMPDIR", "LC_ALL", "DEVSTACK_WORLD",
    }  # fmt: skip


async def test_a_part_that_cannot_start_ends_the_others(tmp_path: Path) -> None:
    async with asyncio.TaskGroup(), _listener() as port:
        own = World(WorldSettings(postgres_port=port))
        with pytest.raises(DevstackError, match="PostgreSQL ended with code 1"):
            await own.__aenter__()

    assert leftovers(own.id) == []
    assert not own.directory.exists()


@asynccontextmanager
async def _listener() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_the_environment_is_that_of_a_task(world: SharedWorld) -> None:
    given = world.parts.environment()
    from_file = world.parts.environment(token_file=True)

    assert given["VAULT_ROLE"] == "learn-product-api"
    assert "VAULT_NAMESPACE" not in given
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" in given
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" not in from_file
    token_file = Path(from_file["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
    assert token_file.read_text() == given["AWS_CONTAINER_AUTHORIZATION_TOKEN"]


async def test_a_policy_takes_effect_at_once(world: SharedWorld) -> None:
    admin = world.parts.admin
    await world.run(world.parts.set_policy('path "kv/*" { capabilities = ["read"] }', name="own"))
    made = await world.run(admin.write("auth/token/create", policies=["own"]))
    headers = {"X-Vault-Token": made["auth"]["client_token"]}

    async with aiohttp.ClientSession(headers=headers) as session:
        address = f"{world.parts.address}/v1/kv/product"
        async with session.get(address) as before:
            pass
        await world.run(world.parts.set_policy('path "kv/*" { capabilities = [] }', name="own"))
        async with session.get(address) as after:
            pass

    assert (before.status, after.status) == (200, 403)


@pytest.mark.parametrize(
    ("preparation", "command", "complaint"),
    [
        ("sys.modules['psycopg'] = None", ["up"], "pip install 'leasekeeper[devstack]'"),
        ("pass", ["product-api"], "CONFIG_FILE is not set"),
        ("pass", ["up", "--token-ttl", "9", "--token-max-ttl", "3"], "cannot be greater than"),
    ],
)
async def test_what_prevents_a_start_is_one_line_and_exit_code_1(
    preparation: str, command: list[str], complaint: str
) -> None:
    program = (
        f"import sys; {preparation}; from leasekeeper.devstack.__main__ import main; "
        f"sys.exit(main({command!r}))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program),
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE},
    )
    _, errors = await process.communicate()

    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert line.startswith("error: ")
    assert complaint in line
