"""Who gets which answer over HTTP, how many may ask, and what a browser may do with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from leasekeeper.web import gate
from leasekeeper.web.guard import Audience
from leasekeeper.web.page import stream
from leasekeeper.web.server import WebServer
from tests.component.test_web_server import get
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_health_report import Scene

FOR_PEOPLE = ("/", "/status", "/status.schema.json", "/openapi.json", "/events")
FOR_MACHINES = ("/health", "/health/live", "/health/ready", "/metrics", "/agent/v1/metrics")


@asynccontextmanager
async def serving(
    listen: str = "127.0.0.1:0", audience: Audience = "loopback", names: tuple[str, ...] = ()
) -> AsyncIterator[WebServer]:
    scene = Scene(FakeVault())
    scene.outputs.settled.release()
    server = WebServer(listen, scene.report, audience=audience, names=names)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def status_of(server: WebServer, path: str, method: str = "GET", **headers: str) -> int:
    """Return the status of the answer; what never ends is not read to its end."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{server.url}{path}"
    async with (
        ClientSession() as session,
        session.request(method, url, headers=names, allow_redirects=False) as answer,
    ):
        return answer.status


def other_address() -> str:
    """Return an address of this machine that is not a loopback one, or skip the test."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("needs a network address besides the loopback one")
        return str(probe.getsockname()[0])


# -- what a browser may do ------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*FOR_PEOPLE[:-1], *FOR_MACHINES, "/nothing"])
async def test_every_answer_forbids_framing_guessing_keeping_and_telling(path: str) -> None:
    async with serving() as server:
        _, headers, _ = await get(f"{server.url}{path}")

    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert "aiohttp" not in headers["Server"]
    assert "unsafe" not in headers["Content-Security-Policy"]


async def test_the_page_loads_nothing_from_anywhere() -> None:
    async with serving() as server:
        _, headers, html = await get(f"{server.url}/")

    assert "http://" not in html.replace("http://fake:8200", "")
    assert "https://" not in html
    assert " style=" not in html
    assert " onclick=" not in html
    assert headers["Content-Type"] == "text/html; charset=utf-8"


# -- who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.example", "", "127.0.0.1.x"])
async def test_a_name_that_may_be_somebody_elses_is_not_answered(host: str) -> None:
    async with serving() as server:
        found = [await status_of(server, path, Host=host) for path in FOR_PEOPLE]
        health = [await status_of(server, path, Host=host) for path in FOR_MACHINES]

    assert found == [421] * len(found)
    assert health == [200] * len(health)  # balancers and Prometheus use any name


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:8210", "LOCALHOST", "[::1]:80", "10.0.0.7:1", "task.internal"]
)
async def test_addresses_localhost_and_the_names_listed_are_answered(host: str) -> None:
    async with serving(names=("Task.Internal",)) as server:
        assert [await status_of(server, path, Host=host) for path in FOR_PEOPLE] == [200] * 5


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
    ],
)
async def test_what_a_foreign_page_has_a_browser_send_is_refused(
    headers: dict[str, str], status: int
) -> None:
    async with serving() as server:
        assert await status_of(server, "/status", **headers) == status


async def test_our_own_page_may_ask() -> None:
    async with serving() as server:
        assert await status_of(server, "/events", Origin=server.url) == 200


async def test_a_form_of_a_foreign_page_stops_nobody() -> None:
    stopped: list[bool] = []
    scene = Scene(FakeVault())
    server = WebServer("127.0.0.1:0", scene.report, on_quit=lambda: stopped.append(True))
    await server.start()
    refused = await status_of(server, "/agent/v1/quit", "POST", Origin="https://evil.example")
    assert not stopped
    told = await status_of(server, "/agent/v1/quit", "POST")
    await server.close()

    assert (refused, told, stopped) == (403, 200, [True])


async def test_from_elsewhere_only_health_and_metrics_are_answered() -> None:
    address = other_address()
    async with serving(f"{address}:0") as server:
        assert [await status_of(server, path) for path in FOR_MACHINES] == [200] * 5
        assert [await status_of(server, path) for path in FOR_PEOPLE] == [403] * 5


async def test_everybody_gets_the_page_where_that_is_asked_for() -> None:
    async with serving(f"{other_address()}:0", audience="all") as server:
        assert [await status_of(server, path) for path in FOR_PEOPLE] == [200] * 5


async def test_the_page_can_be_switched_off() -> None:
    async with serving(audience="off") as server:
        assert [await status_of(server, path) for path in FOR_PEOPLE] == [404] * 5
        assert await status_of(server, "/health") == 200


async def test_a_socket_of_this_machine_is_answered_under_any_name(tmp_path: Path) -> None:
    async with (
        serving(f"unix:{tmp_path / 's'}"),
        ClientSession(connector=UnixConnector(str(tmp_path / "s"))) as session,
        session.get("http://anything/status") as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_methods_that_mean_nothing_here_are_refused(method: str) -> None:
    async with serving() as server:
        for path in FOR_PEOPLE:
            status, headers, _ = await get(f"{server.url}{path}", method)
            assert status == 405
            assert headers["Allow"] in ("GET,HEAD", "GET")


# -- how many may ask ------------------------------------------------------------------------------


class Wires:
    """Connections that are cut in the end."""

    def __init__(self) -> None:
        self._open: list[asyncio.StreamWriter] = []

    async def connect(
        self, server: WebServer, said: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._open.append(writer)
        with suppress(ConnectionError):
            writer.write(said)
            await writer.drain()
        return reader, writer

    async def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def wires() -> AsyncIterator[Wires]:
    wires = Wires()
    yield wires
    await wires.cut()


async def test_a_request_that_does_not_end_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, wires: Wires
) -> None:
    monkeypatch.setattr(gate, "HEAD_S", 0.2)
    monkeypatch.setattr(gate, "_SWEEP_EVERY_S", 0.05)
    async with serving() as server:
        reader, _ = await wires.connect(server, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while await reader.read(100):
                    pass
        assert len(server._gate) == 0


async def test_a_full_house_gives_the_place_of_the_longest_idle_to_the_next(wires: Wires) -> None:
    async with serving() as server:
        server._gate._most = 20
        for _ in range(60):
            await wires.connect(server, b"GET /hea")
        for _ in range(5):
            assert await status_of(server, "/health") == 200
        assert len(server._gate) <= 20


async def test_many_who_come_at_once_do_not_get_more_places_than_there_are(wires: Wires) -> None:
    most = 0
    async with serving() as server:
        server._gate._most = 20
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(wires.connect(server))
        for _ in range(20):
            await asyncio.sleep(0)
            most = max(most, len(server._gate))
        assert await status_of(server, "/health") == 200

    assert most == 20


async def test_whoever_is_being_answered_keeps_his_place(wires: Wires) -> None:
    async with serving() as server:
        server._gate._most = 5
        stream_reader, stream_writer = await wires.connect(
            server, b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        await stream_reader.readuntil(b"data: ")
        for _ in range(30):
            await wires.connect(server)
        async with asyncio.timeout(10):
            await stream_reader.readuntil(b"\n\n")
        assert not stream_writer.transport.is_closing()


async def test_only_so_many_pages_are_open_at_a_time(
    monkeypatch: pytest.MonkeyPatch, wires: Wires
) -> None:
    monkeypatch.setattr(stream, "MOST_READERS", 2)
    request = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with serving() as server:
        readers = [await wires.connect(server, request) for _ in range(2)]
        for reader, _ in readers:
            await reader.readuntil(b"data: ")
        assert await status_of(server, "/events") == 503
        readers[0][1].transport.abort()
        async with asyncio.timeout(10):
            while await status_of(server, "/events") != 200:
                await asyncio.sleep(0.05)


async def test_health_is_not_computed_for_each_of_thousands_who_ask() -> None:
    scene, made = Scene(FakeVault()), 0

    def slow_health() -> dict[str, object]:
        nonlocal made
        made += 1
        end = asyncio.get_running_loop().time() + 0.03
        while asyncio.get_running_loop().time() < end:
            pass
        return {"state": "healthy"}

    object.__setattr__(scene.report, "health_json", slow_health)
    server = WebServer("127.0.0.1:0", scene.report)
    await server.start()
    began = asyncio.get_running_loop().time()
    async with ClientSession() as session:
        for _ in range(200):
            async with session.get(f"{server.url}/health") as answer:
                assert answer.status == 200
    took_s = asyncio.get_running_loop().time() - began
    await server.close()

    assert made <= 3 * (took_s / 0.5 + 1)
