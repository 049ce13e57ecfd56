"""Vault's name: it moves, it is unknown for a while, nobody answers for it, it has dead addresses.

DNS is a table in the place of `socket.getaddrinfo`. All else is real, on both loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from time import monotonic
from typing import Any

import pytest
import uvloop

from leasekeeper.errors import VaultUnavailable
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.client import VaultClient
from tests.captured_logs import capture_logs
from tests.fakes.names import SILENT, UNKNOWN, NameTable
from tests.fakes.wire import CLOSE, serving, vault

Run = Callable[[Coroutine[Any, Any, Any]], Any]
OLD, NEW = "127.0.0.2", "127.0.0.1"  # two machines
NAME = "vault.example.test"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameTable]:
    table = NameTable({NAME: [OLD]})
    monkeypatch.setattr(socket, "getaddrinfo", table.getaddrinfo)
    yield table
    table.names.clear()  # whoever still waits for an answer goes home


@contextlib.asynccontextmanager
async def client_of(port: int) -> AsyncIterator[VaultClient]:
    """Yield a client that looks whether Vault can be reached, as in the program."""
    address = f"http://{NAME}:{port}"
    client = VaultClient(VaultSection.model_validate({"address": address, "timeout": "10s"}))
    client.use_token("t", 1)
    watch = asyncio.get_running_loop().create_task(client.reachability.watch())
    try:
        yield client
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await client.close()


async def says(client: VaultClient) -> str:
    """Return who has answered."""
    return str(((await client.read("kv/x")).data or {})["who"])


async def failure_of(client: VaultClient) -> VaultUnavailable:
    with pytest.raises(VaultUnavailable) as raised:
        await client.read("kv/x")
    return raised.value


async def answered_by(client: VaultClient, who: str, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(VaultUnavailable):
                if await says(client) == who:
                    return
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """Let nobody answer at an address, not even with a refusal: its queue is full."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(4):
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((host, port))
        yield


def test_a_name_is_asked_for_once_while_connections_are_kept(run: Run, dns: NameTable) -> None:
    async def asked() -> None:
        async with serving(vault({"who": "old"}), host=OLD) as old, client_of(old.port) as client:
            await asyncio.gather(*(says(client) for _ in range(20)))
            for _ in range(20):
                await says(client)

    run(asked())

    assert len(dns.asked) == 1


def test_a_fail_over_by_dns_is_followed_though_the_old_address_says_nothing(
    run: Run, dns: NameTable
) -> None:
    """The kept connection is open, and who was behind it has gone without a word."""
    gone = False

    async def asked() -> float:
        async def old_or_nothing(_request: object) -> Any:
            while gone:
                await asyncio.sleep(0.05)
            return vault({"who": "old"})

        nonlocal gone
        async with (
            serving(lambda request: old_or_nothing(request), host=OLD) as old,
            serving(vault({"who": "new"}), host=NEW, port=old.port),
            client_of(old.port) as client,
        ):
            assert await says(client) == "old"
            gone, dns.names[NAME] = True, [NEW]
            began = monotonic()
            loop = asyncio.get_running_loop()
            asking = []
            while not any(task.done() and task.result() == "new" for task in asking):
                asking.append(loop.create_task(says(client)))
                await asyncio.sleep(0.2)
            took_s = monotonic() - began
            gone = False
            await asyncio.gather(*asking)
            return took_s

    assert run(asked()) < 6, "2 s until it is suspicious, and a moment to find out"


def test_a_fail_over_by_dns_is_followed_at_once_when_the_old_address_refuses(
    run: Run, dns: NameTable
) -> None:
    async def asked() -> int:
        async with serving(vault({"who": "old"}), host=OLD) as old:
            port = old.port
            async with serving(vault({"who": "new"}), host=NEW, port=port), client_of(port) as it:
                assert await says(it) == "old"
                old.script = lambda _request: CLOSE
                dns.names[NAME] = [NEW]
                await answered_by(it, "new", within_s=5)
                return len(dns.asked)

    assert run(asked()) <= 5


@pytest.mark.parametrize("answer", [UNKNOWN, SILENT])
def test_a_name_service_that_is_away_is_no_outage_of_vault(
    run: Run, dns: NameTable, answer: str
) -> None:
    """Everything that was to open a connection failed, though Vault was where it had been."""

    async def asked() -> float:
        async with (
            serving(lambda _request: vault({"who": "old"}) + CLOSE, host=OLD) as old,
            client_of(old.port) as client,
        ):
            await says(client)
            dns.names[NAME] = answer
            client.renew_connections()
            began = monotonic()
            for _ in range(5):
                await says(client)
                client.renew_connections()
            took_s = monotonic() - began
            dns.names[NAME] = [OLD]
            await answered_by(client, "old", within_s=5)
            async with asyncio.timeout(5):
                while client._transport._names.failing:
                    await asyncio.sleep(0.01)
            return took_s

    with capture_logs() as logs:
        took_s = run(asked())

    said = [log for log in logs if log["event"].startswith("vault.name")]
    assert [log["event"] for log in said if log["log_level"] != "debug"] == [
        "vault.name_failed",
        "vault.name_recovered",
    ]
    assert said[0]["host"] == NAME
    assert took_s < 4, "a second of patience for all of them together"
    assert len(dns.asked) <= 8


def test_the_last_address_is_used_while_there_is_no_thread_to_ask_in(
    run: Run, dns: NameTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def asked() -> str:
        async with serving(vault({"who": "old"}), host=OLD) as old, client_of(old.port) as client:
            await says(client)
            client.renew_connections()
            monkeypatch.setattr(threading.Thread, "start", refuse)
            return await says(client)

    assert run(asked()) == "old"


def test_a_name_that_was_never_known_is_told_with_the_name(run: Run, dns: NameTable) -> None:
    dns.names[NAME] = UNKNOWN

    async def asked() -> VaultUnavailable:
        async with client_of(8200) as client:
            return await failure_of(client)

    error = run(asked())

    assert error.message == f"Vault at http://{NAME}:8200 has a host name that cannot be resolved"
    assert error.code == "LK-VAULT-003"


def test_a_name_service_that_says_nothing_from_the_start_is_told(run: Run, dns: NameTable) -> None:
    """It said that Vault did not answer. The question goes on, and its answer is used."""
    dns.names[NAME] = SILENT

    async def asked() -> VaultUnavailable:
        async with serving(vault({"who": "old"}), host=OLD) as old, client_of(old.port) as client:
            error = await failure_of(client)
            dns.names[NAME] = [OLD]
            await answered_by(client, "old", within_s=5)
            return error

    error = run(asked())

    assert "has a host name that cannot be resolved" in error.message
    assert len(dns.asked) <= 3


def test_the_end_does_not_wait_for_a_name_service(dns: NameTable) -> None:
    """The loop's own threads had to have their answers first, which took 20 s and more."""
    dns.names[NAME] = SILENT
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def asked() -> None:
            async with client_of(8200) as client:
                asking = asyncio.get_running_loop().create_task(says(client))
                while not dns.asked:
                    await asyncio.sleep(0.01)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

        runner.run(asked())

    assert dns.names[NAME] == SILENT, "nobody has answered, and the loop is closed"


def test_an_old_address_that_is_dead_while_dns_fails_is_told_as_both(
    run: Run, dns: NameTable
) -> None:
    async def asked() -> VaultUnavailable:
        async with serving(vault({"who": "old"}), host=OLD) as old:
            port = old.port
            async with client_of(port) as client:
                await says(client)
                dns.names[NAME] = UNKNOWN
                old.script = lambda _request: CLOSE
                await failure_of(client)
                return await failure_of(client)

    error = run(asked())

    assert "at its last known address: the name cannot be resolved now" in error.message


@pytest.mark.parametrize("dead", ["refuses", "silent"])
def test_the_second_address_is_used_when_the_first_is_dead(
    run: Run, dns: NameTable, dead: str
) -> None:
    dns.names[NAME] = [OLD, NEW]

    async def asked() -> float:
        async with (
            serving(vault({"who": "new"}), host=NEW) as new,
            client_of(new.port) as client,
        ):
            with silent(OLD, new.port) if dead == "silent" else contextlib.nullcontext():
                began = monotonic()
                for _ in range(3):
                    assert await says(client) == "new"
                    client.renew_connections()
                return monotonic() - began

    assert run(asked()) < 5


def test_addresses_that_fail_in_different_ways_are_told_as_unreachable(
    run: Run, dns: NameTable
) -> None:
    dns.names[NAME] = ["127.0.0.1", "255.255.255.255"]

    async def asked() -> VaultUnavailable:
        async with client_of(1) as client:
            return await failure_of(client)

    error = run(asked())

    assert "cannot be reached" in error.message
    assert error.hint
