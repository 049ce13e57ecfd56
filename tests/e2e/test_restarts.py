"""Restarts of the real program against a real OpenBao and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from pathlib import Path

import pytest

from leasekeeper.state.directory import StateDirectory
from tests.program import Leasekeeper
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

KEY = "an-example-key-of-32-characters-or-more"


def config(world: SharedWorld, tmp_path: Path, more: str = "") -> str:
    role, creds = world.parts.settings.role, world.parts.creds_path
    return (
        f"auth: {{method: aws_iam, role: {role}}}\n"
        f"state: {{path: {tmp_path}/state, encryption: {{key: {KEY}}}}}\n"
        f"secrets: {{overlap: 1s}}\n{more}"
        f"outputs:\n  - destination: {tmp_path}/out\n"
        f'    template: \'{{{{ with secret "{creds}" }}}}'
        "{{ .Data.username }}:{{ .Data.password }}{{ end }}'\n"
    )


async def users(world: SharedWorld) -> set[str]:
    """Return the users that the database has for leases now."""
    return set(await world.run(world.parts.postgres.roles()))


async def test_five_restarts_leave_one_lease_one_database_user_and_one_token(
    world: SharedWorld, tmp_path: Path
) -> None:
    before, contents, accessors = await users(world), set(), set()
    for number in (signal.SIGKILL, signal.SIGTERM) * 3:
        async with Leasekeeper(
            env=world.parts.environment(), config=config(world, tmp_path)
        ) as program:
            await program.event("agent.ready")
            contents.add((tmp_path / "out").read_text())
            accessors.add((await program.health())["token"]["accessor_hash"])
            logins = program.events("token.login_succeeded")
            await program.stop(number)

    assert len(contents) == 1
    assert len(accessors) == 1
    assert logins == []
    assert len(await users(world) - before) == 1
    assert KEY not in program.text


async def test_kills_at_random_moments_leave_one_database_user(
    world: SharedWorld, tmp_path: Path
) -> None:
    before, rng = await users(world), random.Random(5)
    for _ in range(8):
        async with Leasekeeper(
            env=world.parts.environment(), config=config(world, tmp_path)
        ) as program:
            await asyncio.sleep(rng.uniform(0.3, 1.2))
            await program.stop(signal.SIGKILL)
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path)
    ) as program:
        await program.event("agent.ready")
        async with asyncio.timeout(20):
            while len(await users(world) - before) != 1:
                await asyncio.sleep(0.1)


@pytest.mark.usefixtures("task_stops")
async def test_on_exit_revoke_removes_the_state_with_the_token(
    world: SharedWorld, tmp_path: Path
) -> None:
    text = config(world, tmp_path, "lifecycle: {on_exit: revoke}\n")
    async with Leasekeeper(env=world.parts.environment(), config=text) as program:
        await program.event("agent.ready")
        assert (tmp_path / "state" / "leasekeeper.state").exists()
        code, _ = await program.stop()

    assert code == 0
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["leasekeeper.lock"]


async def test_a_state_directory_that_cannot_be_used_ends_the_start_with_code_5(
    world: SharedWorld, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("in the way")
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path)
    ) as program:
        code = await program.ended()

    assert code == 5
    assert "state directory" in program.said


async def test_a_stop_is_heeded_while_another_process_still_holds_the_state(
    world: SharedWorld, tmp_path: Path
) -> None:
    """It waited for the lock all the same, and ended with code 5."""
    other = StateDirectory(str(tmp_path / "state"))
    other.take()
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path)
    ) as program:
        await program.event("agent.starting")
        code, _ = await program.stop()
    other.release()

    assert code == 0
    assert program.events("agent.failed") == []


async def test_health_answers_while_kms_says_nothing_about_the_state_of_the_last_run(
    tmp_path: Path,
) -> None:
    """Nothing was served before KMS had answered, so ECS could not tell it from a crash."""
    asked, end = asyncio.Event(), asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await end.wait()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    state = tmp_path / "state"
    state.mkdir()
    head = b'leasekeeper state 1\n{"encryption": "kms", "data_key": "QUFB"}\n'
    (state / "leasekeeper.state").write_bytes(head + b"x" * 64)
    text = (
        "vault: {address: 'http://127.0.0.1:1'}\n"
        "auth: {method: approle, role_id: r, secret_id: s}\n"
        f"outputs: [{{destination: {tmp_path}/out, secret: kv/x, format: json}}]\n"
        f"state: {{path: {state}, encryption: {{kms_key_id: alias/x}}}}\n"
    )
    env = {
        "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
    }
    async with silent, Leasekeeper(env=env, config=text) as program:
        async with asyncio.timeout(30):
            await asked.wait()
        code, _ = await program.get("/health")
        told = await program.health()
        ready, metrics = await program.get("/health/ready"), await program.get("/metrics")
        status = json.loads((await program.get("/status"))[1])
        exit_code, _ = await program.stop()
        end.set()

    assert code == 503
    assert (told["state"], ready[0]) == ("starting", 503)
    assert told["reasons"] == status["reasons"] == ["the state of the last run is being read"]
    assert 'leasekeeper_health_state{state="starting"} 1' in metrics[1]
    assert exit_code == 0
    assert program.events("token.login_failed") == []
