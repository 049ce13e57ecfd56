"""The little application serves coffee through every change of its credentials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from leasekeeper.devstack.observers import Credential, Customer, DatabaseClient, Rotations
from leasekeeper.devstack.processes import free_port
from leasekeeper.devstack.product_api import ProductApi
from leasekeeper.devstack.product_setup import COFFEES, DATABASE
from leasekeeper.devstack.waiting import until
from tests.world import SharedWorld, world

__all__ = ["world"]


class Renderer:
    """Writes `conf.json` as Leasekeeper would, with credentials of its own choice."""

    def __init__(self, world: SharedWorld, path: Path) -> None:
        self.path = path
        self._world = world
        self._port = free_port()

    async def issue(self) -> dict[str, Any]:
        parts = self._world.parts
        return await self._world.run(parts.admin.call("GET", parts.creds_path))

    async def render(self) -> str:
        """Render new credentials and return their lease."""
        issued = await self.issue()
        self.write(issued["data"]["username"], issued["data"]["password"])
        return str(issued["lease_id"])

    def write(self, user: str, password: str) -> None:
        dsn = self._world.parts.postgres.dsn(user=user, password=password, database=DATABASE)
        content = {"db_connection": dsn, "bind_address": f":{self._port}"}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content))
        temporary.rename(self.path)


@pytest.fixture
async def renderer(world: SharedWorld, tmp_path: Path) -> Renderer:
    renderer = Renderer(world, tmp_path / "conf.json")
    await renderer.render()
    return renderer


@pytest.fixture
async def application(renderer: Renderer) -> AsyncIterator[ProductApi]:
    async with ProductApi(renderer.path) as application:
        yield application


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_coffees_come_as_in_the_tutorial(
    application: ProductApi, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{application.address}/coffees") as answer:
        menu = await answer.json()

    assert answer.status == 200
    assert len(menu) == len(COFFEES)
    assert menu[0] == {
        "id": 1,
        "name": "HashiCup",
        "teaser": "Automation in a cup",
        "description": "",
        "price": 200,
        "image": "/hashicorp.png",
        "ingredients": [{"ingredient_id": 6}],
    }


async def test_a_new_file_is_used_by_itself_and_the_old_credentials_no_more(
    world: SharedWorld,
    renderer: Renderer,
    application: ProductApi,
    session: aiohttp.ClientSession,
) -> None:
    async with session.get(f"{application.address}/coffees"):
        pass
    await renderer.render()
    await until(lambda: application.reloads == 2, period_s=0.01)
    users = await world.run(
        world.parts.postgres.query(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE starts_with(usename, 'v-root')"
        )
    )

    async with session.get(f"{application.address}/coffees") as answer:
        assert answer.status == 200

    assert users == [], "idle connections of the old credentials are closed"


async def test_it_reloads_when_told_to(
    renderer: Renderer, application: ProductApi, session: aiohttp.ClientSession
) -> None:
    await renderer.render()

    async with session.post(f"{application.address}/-/reload") as answer:
        assert answer.status == 204

    assert application.reloads >= 2


async def test_a_connection_that_was_ended_behind_its_back_costs_nothing(
    world: SharedWorld, application: ProductApi, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{application.address}/coffees"):
        pass
    ended = await world.run(
        world.parts.postgres.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE starts_with(usename, 'v-root')"
        )
    )

    async with session.get(f"{application.address}/coffees") as answer:
        assert answer.status == 200

    assert ended
    assert application.failures == 0


async def test_refused_credentials_are_a_counted_failure_and_no_crash(
    world: SharedWorld,
    renderer: Renderer,
    application: ProductApi,
    session: aiohttp.ClientSession,
) -> None:
    renderer.write("nobody", "wrong")
    await until(lambda: application.reloads == 2, period_s=0.01)

    async with session.get(f"{application.address}/coffees") as answer:
        body = await answer.text()
    async with session.get(f"{application.address}/health") as health:
        pass

    assert (answer.status, health.status) == (500, 200)
    assert application.failures == 1
    assert "nobody" not in body


async def test_a_torn_file_is_not_used(
    renderer: Renderer, application: ProductApi, session: aiohttp.ClientSession
) -> None:
    renderer.path.write_text('{"db_connection": ')
    await until(lambda: application.broken_reads > 0, period_s=0.01)

    async with session.get(f"{application.address}/coffees") as answer:
        assert answer.status == 200
    async with session.post(f"{application.address}/-/reload") as answer:
        assert answer.status == 500


async def test_the_demos_observers_notice_what_goes_wrong(
    world: SharedWorld, renderer: Renderer
) -> None:
    """A demo whose observers saw nothing would prove nothing."""
    client, customer = DatabaseClient(renderer.path, 0.0), Customer("http://127.0.0.1:1", 0.0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()), group.create_task(customer.run())]
        await until(lambda: client.logins.tried > 1, period_s=0.01)
        faults_before = list(client.logins.faults)
        renderer.write("nobody", "wrong")
        await until(lambda: len(client.logins.faults) > 0, period_s=0.01)
        await until(lambda: len(customer.requests.faults) > 0, period_s=0.01)
        for task in tasks:
            task.cancel()

    assert faults_before == []
    assert "PostgreSQL refused nobody" in client.logins.faults[0]


async def test_the_demo_measures_how_long_an_old_credential_still_worked(
    world: SharedWorld, renderer: Renderer
) -> None:
    lease = await renderer.render()
    old = Credential.read(renderer.path)
    said: list[str] = []
    rotations = Rotations(renderer.path, said.append)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rotations.run())
        await renderer.render()
        await until(lambda: rotations.count == 1, period_s=0.01)
        assert rotations.overlaps_s == []
        await world.run(world.parts.revoke_lease(lease))
        await until(lambda: len(rotations.overlaps_s) == 1, period_s=0.01)
        task.cancel()

    assert said[0] == f"rotation 1: {old.user} -> {Credential.read(renderer.path).user}"
    assert said[1].startswith("rotation 1: the old credential worked for another")
