"""More addresses of the web server: sockets, HTTPS, and the one that stops us."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from leasekeeper.devstack.processes import free_port
from leasekeeper.errors import ConfigError
from leasekeeper.settings.process import ListenerSection, WebSection
from leasekeeper.web.listeners import Listeners
from tests.fakes.authority import Authority
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_health_report import Scene


@asynccontextmanager
async def serving(web: WebSection) -> AsyncIterator[tuple[Listeners, asyncio.Event]]:
    stop = asyncio.Event()
    listeners = Listeners(web, Scene(FakeVault()).report, stop.set)
    try:
        await listeners.start()
        yield listeners, stop
    finally:
        await listeners.close()


async def ask(url: str, method: str = "GET", *, socket: str | None = None) -> tuple[int, str]:
    """Return status and body; any certificate will do."""
    connector = aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector(ssl=False)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, url) as answer,
    ):
        return answer.status, await answer.text()


async def served_name(port: int) -> bytes:
    """Return the certificate that is served on *port*."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert isinstance(found, bytes)
    return found


async def test_quit_is_there_where_it_is_allowed(tmp_path: Path) -> None:
    socket, port = str(tmp_path / "web.sock"), free_port()
    quits = ListenerSection(address=f"unix:{socket}", enable_quit=True)
    web = WebSection(listen=f"127.0.0.1:{port}", listeners=[quits])
    async with serving(web) as (_, stop):
        metrics = await ask("http://x/agent/v1/metrics", socket=socket)
        refused = await ask(f"http://127.0.0.1:{port}/agent/v1/quit", "POST")
        wrong = [
            await ask("http://x/agent/v1/quit", method, socket=socket)
            for method in ("GET", "PUT", "DELETE")
        ]
        before = stop.is_set()
        answer = await ask("http://x/agent/v1/quit", "POST", socket=socket)

    assert metrics[0] == 200
    assert "leasekeeper_" in metrics[1]
    assert refused[0] == 404
    assert [status for status, _ in wrong] == [405, 405, 405]
    assert not before
    assert answer == (200, "")
    assert stop.is_set()
    assert not Path(socket).exists()


async def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    socket = tmp_path / "web.sock"
    web = WebSection(listen="", listeners=[ListenerSection(address=f"unix:{socket}")])
    async with serving(web):
        inode = socket.stat().st_ino
        saved = tmp_path / "saved"
        socket.rename(saved)
    saved.rename(socket)  # as after a kill

    async with serving(web):
        assert (await ask("http://x/health/live", socket=str(socket)))[0] == 200
        assert inode > 0


async def test_a_certificate_is_read_again_when_asked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("one")
    port = free_port()
    tls = ListenerSection(address=f"127.0.0.1:{port}", tls_cert_file=certificate, tls_key_file=key)
    async with serving(WebSection(listen="", listeners=[tls])) as (listeners, _):
        assert (await ask(f"https://127.0.0.1:{port}/health/live"))[0] == 200
        first = await served_name(port)
        Path(certificate).write_text("half of", encoding="utf-8")
        await listeners.reload()
        kept = await served_name(port)
        for new, old in zip(authority.issue("two"), (certificate, key), strict=True):
            Path(new).replace(old)
        await listeners.reload()
        second = await served_name(port)

    assert kept == first
    assert second != first


async def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    tls = ListenerSection(
        address="127.0.0.1:1", tls_cert_file=f"{tmp_path}/c", tls_key_file=f"{tmp_path}/k"
    )

    with pytest.raises(ConfigError, match=r"web.listeners: .*/c.* cannot be used: No such file"):
        async with serving(WebSection(listen="", listeners=[tls])):
            pytest.fail("it went on")


async def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    web = WebSection(listen="", listeners=[ListenerSection(address=f"unix:{tmp_path}/no/x")])

    with pytest.raises(ConfigError, match=r"cannot listen on unix:.*no such file"):
        async with serving(web):
            pytest.fail("it went on")
