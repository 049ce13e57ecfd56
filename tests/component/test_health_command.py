"""`leasekeeper health`: what the ECS health check runs, against servers good and bad."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leasekeeper import cli
from leasekeeper.web import healthcheck
from leasekeeper.web.healthcheck import ask, main
from leasekeeper.web.server import WebServer
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_health_report import Scene

HEALTHY = b'{"state": "healthy", "reasons": []}'


@contextlib.contextmanager
def answering(
    *parts: bytes, pause_s: float = 0.0, host: str = "127.0.0.1", hold: bool = False
) -> Iterator[str]:
    """Serve one connection with these bytes, a pause before each; yield the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for part in parts:
                    if ended.wait(pause_s) and pause_s:
                        return
                    connection.sendall(part)
                if hold:
                    ended.wait(30)

    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            ended.set()
            listener.close()
            thread.join()


def answer(status: int, body: bytes) -> bytes:
    return f"HTTP/1.0 {status} Some Words\r\nContent-Type: text/plain\r\n\r\n".encode() + body


def asked(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEASEKEEPER_WEB__LISTEN", raising=False)


# -- verdicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "code", "out"),
    [
        (200, HEALTHY, 0, "healthy\n"),
        (
            200,
            b'{"state": "degraded", "reasons": ["Vault cannot be reached", "b"]}',
            0,
            "degraded\n  Vault cannot be reached\n  b\n",
        ),
        (503, b'{"state": "starting"}', 1, "starting\n"),
        (503, b'{"state": "unhealthy", "reasons": ["x"]}', 1, "unhealthy\n  x\n"),
        (500, b"this is a bug in Leasekeeper\n", 1, "the answer is not Leasekeeper's\n"),
        (200, b"<html>It works!</html>", 1, "the answer is not Leasekeeper's\n"),
        (200, b"", 1, "the answer is not Leasekeeper's\n"),
        (200, b"[]", 1, "the answer is not Leasekeeper's\n"),
        (200, b'{"status": "pass"}', 1, "the answer is not Leasekeeper's\n"),
        (200, b'{"state": "healthy", "reasons": 5}', 1, "the answer is not Leasekeeper's\n"),
        (200, b"[" * 100_000, 1, "the answer is not Leasekeeper's\n"),
        (200, b"\xff\xfe\x00", 1, "the answer is not Leasekeeper's\n"),
    ],
)
def test_the_answer_decides(
    capsys: pytest.CaptureFixture[str], status: int, body: bytes, code: int, out: str
) -> None:
    with answering(answer(status, body)) as address:
        assert asked("--listen", address, capsys=capsys) == (code, out, "")


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n", b"\x00" * 1000, b"", HEALTHY, b"200\r\n\r\n" + HEALTHY]
)
def test_what_is_not_http_is_no_health(capsys: pytest.CaptureFixture[str], garbage: bytes) -> None:
    with answering(garbage) as address:
        code, _, _ = asked("--listen", address, capsys=capsys)

    assert code == 1


@pytest.mark.parametrize(
    "body", [b"<html>It works!</html>", b"[]", b"[" * 100_000, b"\xff\xfe\x00"]
)
def test_status_tells_that_somebody_else_answers(
    capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    with answering(answer(200, body)) as address:
        assert cli.main(["status", "--listen", address]) == 4

    assert f"what answers at {address} is not Leasekeeper" in capsys.readouterr().err


def test_nobody_there_is_a_failure_with_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = asked("--listen=127.0.0.1:1", capsys=capsys)

    assert (code, err) == (1, "")
    assert out == "no answer from 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize(
    "parts",
    [(), (answer(200, HEALTHY)[:20],), tuple(b"x" for _ in range(1000))],
    ids=["silent", "half", "trickle"],
)
def test_whoever_is_slow_is_given_up_on_in_time(parts: tuple[bytes, ...]) -> None:
    """ECS waits 5 s and then counts a failure without a reason; the limit is on the whole."""
    with answering(*parts, pause_s=0.02, hold=True) as address:
        host, port = address.split(":")
        began = time.monotonic()
        ok, said = ask(host, int(port), "/health", timeout_s=0.3)

    assert not ok
    assert "timed out" in said
    assert 0.2 < time.monotonic() - began < 2


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "_LARGEST_ANSWER", 1000)
    with answering(answer(200, b"x" * 1_000_000), hold=True) as address:
        host, port = address.split(":")
        assert ask(host, int(port), "/health") == (False, "the answer is not Leasekeeper's")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(answer(200, HEALTHY)) as address:
        assert asked("--quiet", f"--listen={address}", capsys=capsys) == (0, "", "")


def test_reasons_that_are_not_utf_8_are_said_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(answer(200, b'{"state": "degraded", "reasons": ["/x/\\udcff"]}')) as address:
        assert asked("--listen", address, capsys=capsys)[:2] == (0, "degraded\n  /x/\\udcff\n")


# -- arguments and addresses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope"], "what is '--nope'?"),
        (["health"], "what is 'health'?"),
        (["--listen"], "--listen needs ADDRESS:PORT"),
        (["--listen", "nowhere"], "'nowhere' is no address and port"),
        (["--listen", "127.0.0.1:99999"], "is no address and port"),
        (["--listen", "127.0.0.1:"], "is no address and port"),
        (["--listen", "off"], "there is nobody to ask"),
        (["--ready=yes"], "what is '--ready'?"),
    ],
)
def test_wrong_usage_is_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = asked(*arguments, capsys=capsys)

    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_shows_the_task_definition(capsys: pytest.CaptureFixture[str], word: str) -> None:
    code, out, _ = asked(word, capsys=capsys)

    assert code == 0
    assert '"healthCheck": {"command": ["CMD", "leasekeeper", "health"]' in out
    assert "127.0.0.1:8210" in out


@pytest.mark.parametrize("listen", ["0.0.0.0:{}", ":{}", "127.0.0.1:{}"])
def test_the_variable_names_the_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, listen: str
) -> None:
    with answering(answer(200, HEALTHY)) as address:
        monkeypatch.setenv("LEASEKEEPER_WEB__LISTEN", listen.format(address.split(":")[1]))
        assert asked(capsys=capsys)[0] == 0


@pytest.mark.parametrize("listen", ["[::]:{}", "[::1]:{}"])
def test_ipv6_is_asked_on_ipv6(capsys: pytest.CaptureFixture[str], listen: str) -> None:
    """A server on [::] does not listen on IPv4: asyncio separates the two."""
    try:
        with answering(answer(200, HEALTHY), host="::1") as address:
            port = address.rpartition(":")[2]
            assert asked("--listen", listen.format(port), capsys=capsys)[0] == 0
    except OSError:
        pytest.skip("needs IPv6 on the loopback interface")


# -- the real server, the real command ----------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    source = str(Path(healthcheck.__file__).parents[2])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": source, **more}


def test_nothing_heavy_is_imported() -> None:
    """It runs every ten seconds for the life of the task; -S is without installed packages."""
    told = subprocess.run(
        [
            sys.executable,
            "-S",
            "-X",
            "importtime",
            "-m",
            "leasekeeper",
            "health",
            "--listen=127.0.0.1:1",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )

    modules = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert told.returncode == 1
    assert "leasekeeper.web.healthcheck" in modules
    heavy = {
        module
        for module in modules
        if module.partition(".")[0]
        in (
            "aiohttp", "argparse", "asyncio", "dataclasses", "encodings.idna", "hvac", "inspect",
            "json", "logging", "prometheus_client", "pydantic", "re", "ssl", "typing",
            "uvloop",
        )
    }  # fmt: skip
    assert heavy == set()
    assert {module for module in modules if module.startswith("leasekeeper")} == {
        "leasekeeper",
        "leasekeeper.web",
        "leasekeeper.web.healthcheck",
    }


async def run_command(url: str, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "leasekeeper",
        "health",
        *arguments,
        env=environment(LEASEKEEPER_WEB__LISTEN=url.removeprefix("http://")),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_the_command_and_the_server_understand_each_other() -> None:
    scene = Scene(FakeVault())
    scene.output.waiting_for = ("kv/a",)
    server = WebServer("127.0.0.1:0", scene.report)
    await server.start()
    try:
        starting = await run_command(server.url)
        not_ready = await run_command(server.url, "--ready")
        scene.outputs.settled.release()
        degraded = await run_command(server.url)
        ready = await run_command(server.url, "--ready")
        scene.output.waiting_for = ()
        healthy = await run_command(server.url)
    finally:
        await server.close()

    assert starting == (1, "starting\n  output /config/app.json: waiting for kv/a\n")
    assert not_ready == (1, "starting\n")
    assert degraded == (0, "degraded\n  output /config/app.json: waiting for kv/a\n")
    assert ready == (0, "degraded\n")
    assert healthy == (0, "healthy\n")
