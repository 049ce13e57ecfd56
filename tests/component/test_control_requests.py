"""The control API on real sockets: who is let in, and what is answered to everybody else."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from leasekeeper.web.control import Control, TokenFile, write_token
from leasekeeper.web.guard import Guard
from leasekeeper.web.report import Reporter
from leasekeeper.web.server import WebServer
from tests.captured_logs import capture_logs
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_health_report import Scene

ACTIONS = ("refresh", "rotate", "quit")


class Controlled:
    """A server with a control API."""

    def __init__(self, path: Path, *, working: bool = True) -> None:
        self.file = TokenFile(str(path))
        self.quits = 0
        self.scene = Scene(FakeVault())
        control = Control(
            self.file, reporter=lambda: self._report() if working else None, on_quit=self._quit
        )
        self.server = WebServer("127.0.0.1:0", self.scene.report, control=control, audience="off")

    def _report(self) -> Reporter:
        return self.scene.report

    def _quit(self) -> None:
        self.quits += 1

    async def post(
        self, action: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any], Any]:
        authorization = f"Bearer {self.file.token if token is None else token}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.server.url}/v1/{action}",
                data=data,
                headers={"Authorization": authorization, **named},
            ) as answer,
        ):
            return answer.status, await answer.json(), answer.headers


@asynccontextmanager
async def controlled(tmp_path: Path, *, working: bool = True) -> AsyncIterator[Controlled]:
    scene = Controlled(tmp_path / "run" / "token", working=working)
    await scene.server.start()
    try:
        yield scene
    finally:
        await scene.server.close()


def test_the_token_is_for_our_own_user_and_goes_with_us(tmp_path: Path) -> None:
    path = tmp_path / "run" / "token"
    first, second = TokenFile(str(path)), TokenFile(str(path))
    assert write_token(first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert write_token(second)
    first.remove()
    assert path.read_text() == second.token != first.token
    second.remove()
    assert not path.exists()


def test_a_token_that_cannot_be_written_is_told_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        assert not write_token(TokenFile(str(tmp_path / "file" / "token")))
    assert [line["event"] for line in logs] == ["control.unavailable"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_nothing_is_done_without_the_token(tmp_path: Path, action: str) -> None:
    async with controlled(tmp_path) as scene:
        with capture_logs() as logs:
            for token in ("", "wrong", scene.file.token[:-1], "é" * 40, "x" * 5000):
                status, body, headers = await scene.post(action, token=token)
                assert (status, list(body)) == (401, ["error"])
                assert headers["WWW-Authenticate"] == "Bearer"
        assert scene.quits == 0
    assert scene.file.token not in str(logs)
    assert {line["event"] for line in logs} == {"control.refused"}


async def test_a_page_in_a_browser_gets_nowhere_even_with_the_token(tmp_path: Path) -> None:
    async with controlled(tmp_path) as scene:
        foreign = await scene.post("quit", Origin="https://evil.example")
        rebound = await scene.post("quit", Host="evil.example")
        async with aiohttp.ClientSession() as session:
            url = f"{scene.server.url}/v1/quit"
            async with session.options(url, headers={"Origin": "https://evil.example"}) as answer:
                preflight = answer
            async with session.get(url) as answer:
                read = answer

        assert (foreign[0], rebound[0]) == (403, 421)
        assert "error" in foreign[1]
        assert preflight.status in (403, 405)
        assert not [name for name in preflight.headers if name.startswith("Access-Control")]
        assert (read.status, scene.quits) == (405, 0)


class FromElsewhere:
    """A request from another machine, as `Guard` looks at it."""

    path, method = "/v1/quit", "POST"

    def __init__(self, peer: str) -> None:
        self.headers = {"Host": "127.0.0.1:8210"}
        self.transport = self
        self._peer = peer

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return (self._peer, 40000)


@pytest.mark.parametrize("audience", ["loopback", "all", "off"])
def test_other_machines_are_refused_whatever_else_they_may_see(audience: Any) -> None:
    guard = Guard(audience, ())
    for peer in ("10.0.0.5", "169.254.170.3", "::ffff:10.0.0.5", "fe80::1%eth0", "2001:db8::1"):
        with pytest.raises(aiohttp.web.HTTPForbidden):
            guard.check(FromElsewhere(peer))  # type: ignore[arg-type]
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        guard.check(FromElsewhere(peer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"null", b'{"secret": 1}', b'{"more": "x"}', b"\xff\xfe", b"[" * 1000],
)
async def test_a_body_that_makes_no_sense_is_an_error_in_json(tmp_path: Path, body: bytes) -> None:
    async with controlled(tmp_path) as scene:
        status, answer, _ = await scene.post("rotate", body)

    assert status == 400
    assert '{"secret": NAME}' in answer["error"]


async def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    async with controlled(tmp_path) as scene:
        unnamed = await scene.post("rotate")
        unknown = await scene.post("refresh", {"secret": "nobody/uses/this"})
        huge = await scene.post("refresh", b"x" * 100_000)
        stopped = await scene.post("quit")

    assert (unnamed[0], unknown[0], huge[0]) == (400, 404, 413)
    assert "nobody/uses/this" in unknown[1]["error"]
    assert (stopped[0], scene.quits) == (202, 1)


async def test_who_does_no_work_yet_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    async with controlled(tmp_path, working=False) as scene:
        assert (await scene.post("refresh"))[0] == 503
        assert (await scene.post("quit"))[0] == 202


async def test_a_script_that_runs_wild_is_slowed_down_and_a_stranger_slows_nobody_down(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path) as scene:
        strangers = [await scene.post("refresh", token="wrong") for _ in range(20)]
        first = await scene.post("refresh")
        answers = await asyncio.gather(*(scene.post("refresh") for _ in range(15)))

    assert {status for status, _, _ in strangers} == {401}
    assert first[0] == 202
    assert sorted({status for status, _, _ in answers}) == [202, 429]
    late = [headers for status, _, headers in answers if status == 429]
    assert all(1 <= int(headers["Retry-After"]) <= 20 for headers in late)
