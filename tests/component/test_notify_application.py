"""Real requests, signals and programs: what arrives, and which failures are told apart."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leasekeeper.errors import NotifyError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.outputs.notify import Notifier, NotifyState
from leasekeeper.outputs.tell import ByCommand, ByHttp, BySignal, notifier_for, plain_session
from leasekeeper.settings.model import CommandNotify, HttpNotify, OutputSection, SignalNotify
from tests.captured_logs import capture_logs

CANARY = "hunter2-canary"


@pytest.fixture
async def workers() -> AsyncIterator[FileWorkers]:
    subject = FileWorkers()
    yield subject
    await subject.close()


class App:
    """An application on a loopback port that answers with *status*."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(
            {
                "method": request.method,
                "path": request.path_qs,
                "body": await request.read(),
                "headers": dict(request.headers),
            }
        )
        return web.Response(status=self.status, headers=self.headers, body=b"x" * 100_000)


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    server = web.Application()
    server.router.add_route("*", "/{path:.*}", app.answer)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address: tuple[str, int] = runner.addresses[0]
    app.url = f"http://127.0.0.1:{address[1]}"
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    subject = App()
    async with running(subject):
        yield subject


def by_http(url: str, method: str = "POST") -> ByHttp:
    return ByHttp(HttpNotify.model_validate({"url": url, "method": method}), plain_session)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_answer_to_an_empty_request_is_success(
    app: App, method: str, status: int
) -> None:
    app.status = status

    assert await by_http(f"{app.url}/-/reload?now=1", method)()

    (request,) = app.requests
    assert (request["method"], request["path"]) == (method, "/-/reload?now=1")
    assert request["body"] == b""
    assert "Cookie" not in request["headers"]
    assert "Authorization" not in request["headers"]


@pytest.mark.parametrize("status", [304, 400, 404, 500, 503])
async def test_any_other_answer_is_an_error(app: App, status: int) -> None:
    app.status = status

    with pytest.raises(NotifyError, match=f"POST {app.url}/x was answered with {status}"):
        await by_http(f"{app.url}/x?password={CANARY}")()


async def test_redirects_are_not_followed(app: App) -> None:
    app.status, app.headers = 302, {"Location": f"{app.url}/elsewhere"}

    with pytest.raises(NotifyError, match="redirects are not followed"):
        await by_http(f"{app.url}/x")()

    assert [request["path"] for request in app.requests] == ["/x"]


async def test_proxies_of_the_environment_are_not_used(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert await by_http(f"{app.url}/x")()


async def test_an_application_that_does_not_listen_is_an_error_without_the_query() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(NotifyError, match="Connection refused") as caught:
            await by_http(f"{url}?password={CANARY}")()

    assert url in str(caught.value)
    assert CANARY not in str(caught.value)


async def test_an_application_that_hangs_up_is_an_error() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotifyError, match="failed"):
            await by_http(f"http://127.0.0.1:{port}/x")()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An application that says "ready", then which signal has come."""
    code = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})\n"
        "print('ready', flush=True)\n"
        "print(signal.Signals(signal.sigwait({signal.SIGHUP, signal.SIGUSR1})).name, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as application:
        assert application.stdout is not None
        assert application.stdout.readline() == "ready\n"
        yield application
        application.kill()


def by_signal(path: Path, workers: FileWorkers, name: str = "SIGHUP") -> BySignal:
    section = SignalNotify.model_validate({"pid_file": str(path), "signal": name})
    return BySignal(section, workers, "/")


@pytest.mark.parametrize("form", ["{}", "{}\n", " {} \n", "{}\n/var/lib/data\n17000\n"])
@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
async def test_the_process_in_the_pid_file_gets_the_signal(
    tmp_path: Path, workers: FileWorkers, process: subprocess.Popen[str], form: str, name: str
) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(form.format(process.pid))

    assert await by_signal(pid_file, workers, name)()

    assert process.stdout is not None
    assert process.stdout.readline() == f"{name}\n"


async def test_a_missing_pid_file_means_not_started_yet(
    tmp_path: Path, workers: FileWorkers
) -> None:
    assert not await by_signal(tmp_path / "pid", workers)()


@pytest.mark.parametrize(
    "text",
    ["", "\n", "abc", "-1", "+5", "0", "1", "1.5", "0x10", "99999999", "9" * 5000, "½",
     "our own", "our own\n"],
)  # fmt: skip
async def test_what_is_no_process_id_of_an_application_is_refused(
    tmp_path: Path, workers: FileWorkers, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def never(pid: int, number: int) -> None:
        pytest.fail(f"signal {number} would have been sent to {pid}")

    monkeypatch.setattr(os, "kill", never)
    (tmp_path / "pid").write_text(text.replace("our own", str(os.getpid())))

    with pytest.raises(NotifyError, match="the pid file"):
        await by_signal(tmp_path / "pid", workers)()


async def test_a_process_that_has_gone_is_a_stale_pid_file(
    tmp_path: Path, workers: FileWorkers, process: subprocess.Popen[str]
) -> None:
    process.kill()
    process.wait()
    (tmp_path / "pid").write_text(str(process.pid))

    with pytest.raises(NotifyError, match=rf"no process {process.pid}.*pidMode: task"):
        await by_signal(tmp_path / "pid", workers)()


async def test_another_users_process_is_a_clear_error(
    tmp_path: Path, workers: FileWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_permitted(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", not_permitted)
    (tmp_path / "pid").write_text("12345")

    with pytest.raises(NotifyError, match=r"not allowed to send SIGHUP.*CAP_KILL"):
        await by_signal(tmp_path / "pid", workers)()


async def test_a_pid_file_that_is_a_pipe_or_a_directory_is_an_error_and_no_wait(
    tmp_path: Path, workers: FileWorkers
) -> None:
    os.mkfifo(tmp_path / "pipe")

    async with asyncio.timeout(10):
        with pytest.raises(NotifyError, match="does not hold a process id"):
            await by_signal(tmp_path / "pipe", workers)()
        with pytest.raises(NotifyError, match="Is a directory"):
            await by_signal(tmp_path, workers)()


async def test_a_program_is_told_which_output_is_new_and_nothing_secret(
    tmp_path: Path, workers: FileWorkers
) -> None:
    report = tmp_path / "report"
    code = (
        "import os, sys\n"
        "keys = [k for k in os.environ if k.startswith(('VAULT', 'LEASEKEEPER', 'AWS'))]\n"
        "open(sys.argv[1], 'w').write(' '.join(f'{k}={os.environ[k]}' for k in sorted(keys)))\n"
    )
    section = OutputSection.model_validate(
        {
            "destination": "/config/app.json",
            "template": "-",
            "notify": {"command": {"command": [sys.executable, "-c", code, str(report)]}},
        }
    )
    environ = {
        "PATH": os.environ["PATH"],
        "VAULT_TOKEN": CANARY,
        "LEASEKEEPER_AUTH__SECRET_ID": CANARY,
        "AWS_SESSION_TOKEN": CANARY,
        "AWS_REGION": "eu-west-1",
    }
    notifier = make(section, workers, environ)

    notifier.published()
    await until(notifier, NotifyState.OK)
    await notifier.close(grace_s=5)

    assert report.read_text() == "AWS_REGION=eu-west-1 LEASEKEEPER_OUTPUT=/config/app.json"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["/bin/sh", "-c", "echo hunter2-canary; exit 3"], "exited with 3"),
        (["/bin/sh", "-c", "kill -9 $$"], "was ended by SIGKILL"),
        (["/no/such/program"], "cannot be started: No such file or directory"),
    ],
)
async def test_a_program_that_fails_is_an_error(command: list[str], complaint: str) -> None:
    way = ByCommand(CommandNotify(command=command), dict(os.environ))

    with pytest.raises(NotifyError, match=complaint) as caught:
        await way()

    assert CANARY not in str(caught.value)


def make(
    section: OutputSection, workers: FileWorkers, environ: dict[str, str] | None = None
) -> Notifier:
    notifier = notifier_for(
        section,
        workers=workers,
        mounts=Mounts(),
        rng=random.Random(1),
        environ=environ or dict(os.environ),
    )
    assert notifier is not None
    return notifier


async def until(notifier: Notifier, state: NotifyState) -> None:
    async with asyncio.timeout(20):
        while notifier.state is not state:
            await asyncio.sleep(0.005)


async def test_an_application_that_comes_up_late_is_told_by_a_retry(
    app: App, workers: FileWorkers
) -> None:
    section = OutputSection.model_validate(
        {
            "destination": "/config/a",
            "template": "-",
            "notify": {"http": {"url": f"{app.url}/reload"}, "timeout": "5s"},
        }
    )
    notifier = make(section, workers)
    app.status = 503
    with capture_logs() as logs:
        notifier.published()
        await until(notifier, NotifyState.RETRYING)
        app.status = 200
        await until(notifier, NotifyState.OK)
    await notifier.close(grace_s=5)

    assert len(app.requests) == 2
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "app.notify_failed"
    ]


async def test_a_program_that_hangs_is_killed_by_the_timeout(workers: FileWorkers) -> None:
    section = OutputSection.model_validate(
        {
            "destination": "/config/a",
            "template": "-",
            "notify": {
                "command": {"command": ["/bin/sh", "-c", "sleep 600"]},
                "timeout": "100ms",
                "retries": 0,
            },
        }
    )
    notifier = make(section, workers)

    notifier.published()
    await until(notifier, NotifyState.FAILED)

    assert "within 0.1 s" in str(notifier.last_error)
    await notifier.close(grace_s=5)


def test_an_output_without_notify_has_no_notifier() -> None:
    section = OutputSection.model_validate({"destination": "/config/a", "template": "-"})

    assert (
        notifier_for(
            section,
            workers=FileWorkers(),
            mounts=Mounts(),
            rng=random.Random(1),
            environ={},
        )
        is None
    )


def test_signals_of_the_settings_exist() -> None:
    names = SignalNotify.model_fields["signal"].annotation.__args__  # type: ignore[union-attr]

    assert all(signal.Signals[name] for name in names)
