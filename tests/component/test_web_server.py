"""The web server on real sockets: whoever asks, it answers, and nobody is held up."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import socket
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from leasekeeper.devstack.processes import free_port
from leasekeeper.errors import ConfigError, VaultUnavailable
from leasekeeper.telemetry import events
from leasekeeper.telemetry.metrics import (
    CONFIGURED,
    LOGINS,
    MINTS,
    NOTIFICATIONS,
    RENDERS,
    VAULT_REQUEST_SECONDS,
    VAULT_REQUESTS,
)
from leasekeeper.web import metrics_page
from leasekeeper.web.server import WebServer
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_gauges import faults
from tests.unit.web.test_health_report import FakeOutput, Scene

IPV4 = "127.0.0.1:0"


@asynccontextmanager
async def serving(
    listen: str = IPV4, scene: Scene | None = None, *, openmetrics: bool = False
) -> AsyncIterator[tuple[WebServer, Scene]]:
    scene = scene or Scene(FakeVault())
    server = WebServer(listen, scene.report, openmetrics=openmetrics)
    await server.start()
    try:
        yield server, scene
    finally:
        await server.close()


async def get(url: str, method: str = "GET", **more: Any) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **more) as answer:
        return answer.status, dict(answer.headers), await answer.text()


async def raw(server: WebServer, request: bytes) -> bytes:
    """Send bytes and return everything until the server closes."""
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), timeout=10)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


# -- what is answered ---------------------------------------------------------------------------


async def test_health_is_503_until_every_output_is_in_place_and_then_200() -> None:
    async with serving() as (server, scene):
        early = await get(f"{server.url}/health")
        scene.outputs.settled.release()
        status, headers, body = await get(f"{server.url}/health")

    assert early[0] == 503
    assert json.loads(early[2])["state"] == "starting"
    assert (status, json.loads(body)["state"]) == (200, "healthy")
    assert headers["Content-Type"] == "application/health+json; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"


async def test_live_ready_and_health_answer_three_questions() -> None:
    """Does the process turn; has it been ready once; can its files be relied on."""

    async def asked(server: WebServer) -> list[int]:
        paths = ("/health/live", "/health/ready", "/health")
        return [(await get(f"{server.url}{path}"))[0] for path in paths]

    async with serving() as (server, scene):
        assert await asked(server) == [200, 503, 503]
        scene.outputs.settled.release()
        assert await asked(server) == [200, 200, 200]
        scene.world.client.reachability._up.clear()
        assert await asked(server) == [200, 200, 200]
        object.__setattr__(scene.report, "expired", lambda: ["/config/app.json"])
        assert await asked(server) == [200, 200, 503]


async def test_head_is_get_without_a_body() -> None:
    async with serving() as (server, scene):
        scene.outputs.settled.release()
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            status, headers, body = await get(f"{server.url}{path}", "HEAD")
            assert (status, body) == (200, "")
            assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    ["/favicon.ico", "/healthz", "/health/", "/health/x", "/metrics/../etc", "/status/"],
)
async def test_unknown_paths_are_404(path: str) -> None:
    async with serving() as (server, _):
        assert (await get(f"{server.url}{path}"))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(method: str) -> None:
    async with serving() as (server, _):
        for path in ("/health", "/metrics"):
            status, headers, _ = await get(f"{server.url}{path}", method)
            assert status == 405
            assert headers["Allow"] == "GET,HEAD"


async def test_a_bug_in_the_report_is_a_500_with_one_log_line_and_no_detail() -> None:
    def broken() -> None:
        raise ValueError("canary-of-the-inside")

    log = io.StringIO()
    events.configure("info", "json", log)
    async with serving() as (server, scene):
        object.__setattr__(scene.report, "health_json", broken)
        status, _, body = await get(f"{server.url}/health")
        live, _, _ = await get(f"{server.url}/health/live")

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    bugs = [line for line in lines if line["event"] == "agent.bug"]
    assert (status, live) == (500, 200)
    assert "canary" not in body
    assert [bug["task"] for bug in bugs] == ["web /health"]


# -- metrics ------------------------------------------------------------------------------------


@pytest.fixture
def counted() -> None:
    """Have a sample of everything that is counted."""
    VAULT_REQUESTS.inc("read", "ok")
    VAULT_REQUEST_SECONDS.observe(0.1, "read")
    LOGINS.inc("ok")
    MINTS.inc("database/creds/product")
    RENDERS.inc("/config/app.json", "published")
    NOTIFICATIONS.inc("/config/app.json", "ok")


@pytest.mark.usefixtures("counted")
async def test_metrics_are_what_prometheus_wants() -> None:
    async with serving() as (server, scene):
        scene.vault.clock_offset_s = 0.5
        scene.output.published_at = asyncio.get_running_loop().time()
        status, headers, body = await get(f"{server.url}/metrics")

    families = list(text_string_to_metric_families(body))
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert faults(families) == []
    assert {"leasekeeper_build_info", "leasekeeper_vault_requests"} <= {f.name for f in families}
    assert "_created" not in body
    assert "+Inf" in body  # nothing ends yet


@pytest.mark.usefixtures("counted")
async def test_promtool_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian and Ubuntu: package prometheus)")
    async with serving() as (server, scene):
        scene.vault.clock_offset_s = 0.5
        scene.output.published_at = asyncio.get_running_loop().time()
        _, _, body = await get(f"{server.url}/metrics")

    process = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    told, _ = await process.communicate(body.encode())
    assert (process.returncode, told.decode()) == (0, "")


async def test_a_scrape_that_asks_for_open_metrics_gets_plain_text() -> None:
    """One format is enough: whoever prefers another takes this one, too."""
    wish = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving() as (server, _):
        _, headers, body = await get(f"{server.url}/metrics", headers=wish)

    assert headers["Content-Type"].startswith("text/plain")
    assert "# EOF" not in body


@pytest.mark.usefixtures("counted")
async def test_open_metrics_bring_vaults_request_ids_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(VAULT_REQUEST_SECONDS, "exemplars", {})
    VAULT_REQUEST_SECONDS.observe(0.01, "read", request_id="5f3c")
    wish = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving(openmetrics=True) as (server, _):
        _, headers, body = await get(f"{server.url}/metrics", headers=wish)
        _, plain, _ = await get(f"{server.url}/metrics")

    families = list(open_metrics(body))
    exemplars = [s.exemplar for family in families for s in family.samples if s.exemplar]
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert plain["Content-Type"].startswith("text/plain")
    assert [(each.labels, each.value) for each in exemplars] == [({"request_id": "5f3c"}, 0.01)]


def test_no_exemplar_is_kept_for_nobody() -> None:
    VAULT_REQUEST_SECONDS.observe(0.01, "read", request_id="5f3c")

    assert VAULT_REQUEST_SECONDS.exemplars is None


async def test_gauges_are_those_of_the_page_and_their_labels_too() -> None:
    documented = {name: labels for name, _, labels, _ in metrics_page.metrics()}
    async with serving() as (server, _):
        _, _, body = await get(f"{server.url}/metrics")

    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            name = re.sub("_(bucket|count|sum)$", "", sample.name)
            labels = documented[name]
            assert sample.labels.keys() - {"le"} == labels.keys()
            for label, known in labels.items():
                assert known == CONFIGURED or sample.labels[label] in known


# -- whoever asks -------------------------------------------------------------------------------


async def test_a_client_that_says_nothing_holds_nobody_up() -> None:
    async with serving() as (server, _):
        port = int(server.url.rpartition(":")[2])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in silent[:25]:
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")  # and not a word more
        began = time.monotonic()
        status, _, _ = await get(f"{server.url}/health/live")
        took_s = time.monotonic() - began
        for _, writer in silent:
            writer.close()

    assert status == 200
    assert took_s < 2


async def test_a_client_that_does_not_read_holds_nobody_up() -> None:
    """Its answer is larger than what the kernel takes off our hands."""
    async with serving() as (server, scene):
        scene.outputs.outputs = tuple(FakeOutput(f"/config/{n}") for n in range(20_000))
        port = int(server.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)
        status, _, _ = await get(f"{server.url}/health/live")
        writer.transport.abort()

    assert status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS handshake
        b"not http at all\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["header", "path", "tls", "garbage", "version", "length"],
)
async def test_garbage_is_refused_without_a_line_in_the_log(request_bytes: bytes) -> None:
    """Whoever reaches the port must not be able to fill the log."""
    log = io.StringIO()
    events.configure("info", "json", log)
    async with serving() as (server, _):
        before = log.getvalue()
        answer = await raw(server, request_bytes)
        status, _, _ = await get(f"{server.url}/health/live")

    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert status == 200
    assert log.getvalue() == before


async def test_a_body_that_nobody_asked_for_is_not_kept() -> None:
    body = b"x" * (5 * 1024 * 1024)
    head = f"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    async with serving() as (server, _):
        answer = await raw(server, head.encode() + body)

    assert answer.startswith(b"HTTP/1.1 200 ")


# -- addresses ----------------------------------------------------------------------------------


async def test_it_listens_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        async with serving("[::1]:0") as (server, _):
            status, _, _ = await get(f"{server.url}/health/live")
            assert server.url.startswith("http://[::1]:")
            assert status == 200
    except ConfigError:
        pytest.skip("needs IPv6 on the loopback interface")


async def test_it_listens_on_every_address() -> None:
    port = free_port()  # not 0, which would be one port for IPv4 and another for IPv6
    async with serving(f":{port}"):
        status, _, _ = await get(f"http://127.0.0.1:{port}/health/live")

    assert status == 200


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("192.0.2.1:8210", "cannot listen on 192.0.2.1:8210: cannot assign requested address"),
        ("nobody.invalid:8210", "cannot listen on nobody.invalid:8210: "),
    ],
)
async def test_an_address_that_is_not_ours_names_the_setting(listen: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        async with serving(listen):
            pass

    assert str(raised.value).startswith(f"web.listen: {said}")
    assert "LEASEKEEPER_WEB__LISTEN" in str(raised.value)


async def test_a_port_in_use_names_the_setting() -> None:
    async with serving() as (first, scene):
        address = first.url.removeprefix("http://")
        with pytest.raises(ConfigError) as raised:
            await WebServer(address, scene.report).start()

    assert str(raised.value) == (
        f"web.listen: cannot listen on {address}: address already in use; "
        "set web.listen (LEASEKEEPER_WEB__LISTEN) to another address, or to off"
    )


# -- the end ------------------------------------------------------------------------------------


async def test_it_closes_at_once_whoever_is_still_connected() -> None:
    """SIGTERM must not wait for a scraper that keeps its connection."""
    async with aiohttp.ClientSession() as session, serving() as (server, _):
        port = int(server.url.rpartition(":")[2])
        async with session.get(f"{server.url}/health/live") as answer:
            await answer.read()  # kept alive from here on
        _, half = await asyncio.open_connection("127.0.0.1", port)
        half.write(b"GET /health HTTP/1.1\r\n")
        await asyncio.sleep(0.01)
        began = time.monotonic()
        await server.close()
        took_s = time.monotonic() - began
        await server.close()  # a second time does no harm
        half.close()

    assert took_s < 1.5
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


async def test_the_port_is_free_again_at_once() -> None:
    async with serving() as (server, scene):
        address = server.url.removeprefix("http://")
        await get(f"{server.url}/health")
    async with serving(address, scene) as (again, _):
        assert (await get(f"{again.url}/health/live"))[0] == 200


async def test_an_outage_is_seen_from_outside() -> None:
    """The whole way: a doubt, a health question without an answer, /health and a metric."""
    async with serving() as (server, scene):
        scene.outputs.settled.release()
        scene.vault.down = True
        reachability = scene.world.client.reachability
        watch = asyncio.get_running_loop().create_task(reachability.watch())
        with suppress(VaultUnavailable):
            await scene.world.client.lookup_token()
        while reachability.up:
            await asyncio.sleep(0.005)
        status, _, body = await get(f"{server.url}/health")
        _, _, metrics = await get(f"{server.url}/metrics")
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

    told = json.loads(body)
    assert (status, told["state"], told["status"]) == (200, "degraded", "warn")
    assert told["reasons"] == ["Vault cannot be reached"]
    assert "leasekeeper_vault_up 0.0" in metrics
