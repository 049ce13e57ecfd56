"""The gateway passes everything but logins on unchanged, counts, and breaks things on demand."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from leasekeeper.devstack.world import World, WorldSettings
from tests.world import SharedWorld, world

__all__ = ["world"]

BIG = 3_000_000


@pytest.fixture
async def session(world: SharedWorld) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"X-Vault-Token": world.parts.openbao.root_token}
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield session


def url(world: SharedWorld, path: str) -> str:
    return f"{world.parts.address}/v1/{path}"


async def test_an_answer_is_the_one_of_openbao(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    async with session.get(url(world, "secret/data/product")) as ours:
        through = await ours.json()
    async with session.get(f"{world.parts.openbao.address}/v1/secret/data/product") as theirs:
        direct = await theirs.json()

    assert through["data"] == direct["data"]
    assert ours.status == 200
    assert set(theirs.headers) - {"Connection"} == set(ours.headers) - {"Connection"}


@pytest.mark.parametrize("method", ["LIST", "GET"])
async def test_lists_work_with_both_of_vaults_methods(
    world: SharedWorld, session: aiohttp.ClientSession, method: str
) -> None:
    query = {"list": "true"} if method == "GET" else {}

    async with session.request(method, url(world, "kv"), params=query) as answer:
        body = await answer.json()

    assert body["data"]["keys"] == ["product"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "secret/data/absent", 404),
        ("DELETE", "kv/absent", 204),
        ("HEAD", "sys/health", 200),
        ("POST", "sys/leases/renew", 400),
    ],
)
async def test_statuses_pass_through_and_the_connection_stays_usable(
    world: SharedWorld, session: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    for _ in range(2):
        async with session.request(method, url(world, path)) as answer:
            await answer.read()
        assert answer.status == status


async def test_a_big_secret_streams_through(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    value = "x" * BIG

    payload = io.BytesIO(json.dumps({"value": value}).encode())
    async with session.post(url(world, "kv/big"), data=payload) as written:
        assert written.status == 204
    async with session.get(url(world, "kv/big")) as answer:
        body = await answer.json()
    await session.delete(url(world, "kv/big"))

    assert body["data"]["value"] == value


async def test_a_chunked_request_body_arrives_whole(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"value":', b' "in pieces"}'):
            yield piece

    async with session.post(url(world, "kv/pieces"), data=pieces()) as answer:
        assert answer.status == 204

    stored = await world.run(world.parts.admin.read("kv/pieces"))
    assert stored == {"value": "in pieces"}


async def test_a_namespace_header_reaches_openbao(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    headers = {"X-Vault-Namespace": "absent"}

    async with session.get(url(world, "secret/data/product"), headers=headers) as answer:
        assert answer.status == 404


async def test_requests_are_counted_by_method_and_path(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    gateway = world.parts.gateway
    before = len(gateway.seen)

    for _ in range(3):
        async with session.get(url(world, "kv/product?x=1")) as answer:
            await answer.read()

    assert gateway.count("/v1/kv/product", method="GET", after=before) == 3
    assert gateway.count("/v1/kv/product", method="LIST", after=before) == 0
    assert {(seen.path, seen.status) for seen in gateway.seen[before:]} == {("/v1/kv/product", 200)}


async def test_administration_is_not_counted(world: SharedWorld) -> None:
    before = len(world.parts.gateway.seen)

    await world.run(world.parts.admin.read("kv/product"))

    assert len(world.parts.gateway.seen) == before


async def test_a_status_fault_answers_so_often_and_then_no_more(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    statuses = []
    headers = {"Retry-After": "7"}
    with world.fault(
        "status", path="/v1/kv/", status=429, times=2, errors=("slow down",), headers=headers
    ) as fault:
        for _ in range(3):
            async with session.get(url(world, "kv/product")) as answer:
                statuses.append((answer.status, answer.headers.get("Retry-After")))
                body = await answer.json()

    assert statuses == [(429, "7"), (429, "7"), (200, None)]
    assert fault.befallen == 2
    assert body["data"]["region"] == "eu-central-1"


async def test_a_fault_befalls_only_its_method_and_path(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    with world.fault("status", path="/v1/kv/", method="POST", times=None) as fault:
        async with session.get(url(world, "kv/product")) as answer:
            assert answer.status == 200
        async with session.get(url(world, "secret/data/product")) as answer:
            assert answer.status == 200

    assert fault.befallen == 0


async def test_logins_can_be_befallen_too(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    with world.fault("status", path="/v1/auth/aws/login", status=502):
        async with session.post(url(world, "auth/aws/login"), json={}) as answer:
            assert answer.status == 502


async def test_a_delay_passes_the_request_on_later(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    with world.fault("delay", path="/v1/kv/", seconds=0.2):
        async with session.get(url(world, "kv/product")) as answer:
            assert answer.status == 200

    assert loop.time() - began >= 0.2


async def test_a_drop_resets_the_connection_and_openbao_sees_nothing(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    with (
        world.fault("drop", path="/v1/kv/dropped", times=None),
        pytest.raises(aiohttp.ClientConnectionError),
    ):
        await session.post(url(world, "kv/dropped"), json={"value": 1})

    assert "dropped" not in await world.run(world.parts.admin.list("kv"))


async def test_a_dropped_answer_leaves_the_deed_done(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    with (
        world.fault("drop_answer", path="/v1/kv/lost", times=None),
        pytest.raises(aiohttp.ClientConnectionError),
    ):
        await session.post(url(world, "kv/lost"), json={"value": "done"})

    assert await world.run(world.parts.admin.read("kv/lost")) == {"value": "done"}


async def test_a_hanging_request_is_reset_when_the_fault_is_removed(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    with world.fault("hang", path="/v1/kv/", times=None) as fault:
        async with asyncio.TaskGroup() as group:
            request = group.create_task(_outcome(session, url(world, "kv/product")))
            while not fault.befallen:
                await asyncio.sleep(0.01)
            assert not request.done()
            await world.run(_remove(world, fault))

    assert issubclass(request.result(), aiohttp.ClientConnectionError)


async def _outcome(session: aiohttp.ClientSession, address: str) -> type[BaseException]:
    try:
        # Not GET, which aiohttp would silently send again.
        await session.post(address, json={})
    except aiohttp.ClientError as error:
        return type(error)
    raise AssertionError("it was answered")


async def _remove(world: SharedWorld, fault: object) -> None:
    world.parts.gateway.faults.remove(fault)  # type: ignore[arg-type]


async def test_a_stopped_listener_refuses_connections_until_it_is_back(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    gateway = world.parts.gateway
    await world.run(gateway.stop_listening())
    try:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url(world, "kv/product"))
    finally:
        await world.run(gateway.listen_again())

    async with session.get(url(world, "kv/product")) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("connects", [True, False])
async def test_a_black_hole_swallows_everything_and_lets_nobody_know(
    world: SharedWorld, session: aiohttp.ClientSession, connects: bool
) -> None:
    gateway = world.parts.gateway
    host, _, port = gateway.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    question = b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(question)
    await reader.readuntil(b"}\n")  # the gateway has accepted it
    short = aiohttp.ClientTimeout(total=0.3)
    await world.run(gateway.black_hole(connects=connects))
    try:
        writer.write(question)
        with pytest.raises(TimeoutError):
            await session.get(url(world, "kv/product"), timeout=short)
    finally:
        await world.run(gateway.end_black_hole())

    async with session.get(url(world, "kv/product")) as answer:
        assert answer.status == 200
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1)  # neither an answer nor an end
    writer.close()


@pytest.mark.parametrize("rubbish", [b"nonsense\r\n\r\n", b"GET /v1/kv HTTP/1.1\r\nHost: x"])
async def test_what_is_not_http_gets_no_answer(world: SharedWorld, rubbish: bytes) -> None:
    host, port = world.parts.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = b""
    writer.write(rubbish)
    with contextlib.suppress(OSError):
        writer.write_eof()
        answer = await reader.read()
    writer.close()

    assert answer == b""


async def test_a_login_that_is_not_json_is_refused(
    world: SharedWorld, session: aiohttp.ClientSession
) -> None:
    async with session.post(url(world, "auth/aws/login"), data=b"{") as answer:
        assert answer.status == 400
        assert json.loads(await answer.read())["errors"]


async def test_everything_can_live_in_a_namespace() -> None:
    async with World(WorldSettings(namespace="admin")) as own, aiohttp.ClientSession() as session:
        headers = {
            "X-Vault-Token": own.openbao.root_token,
            "X-Vault-Namespace": own.environment()["VAULT_NAMESPACE"],
        }
        async with session.get(f"{own.address}/v1/{own.creds_path}", headers=headers) as answer:
            assert answer.status == 200
        async with session.get(
            f"{own.address}/v1/admin/secret/data/product",
            headers={"X-Vault-Token": own.openbao.root_token},
        ) as answer:
            assert answer.status == 200
