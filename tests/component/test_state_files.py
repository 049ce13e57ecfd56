"""The state on a real disk: encrypted, whole, ours alone."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.devstack.processes import free_port
from leasekeeper.errors import AgentError, PublishError, StateError
from leasekeeper.runtime.tasks import run_root_tasks
from leasekeeper.secrets.memory import decode, encode
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.saved import SavedSecret
from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.settings.model import Settings
from leasekeeper.state.directory import LOCK_FILE, STATE_FILE
from leasekeeper.state.recorder import Document, StateRecorder, open_recorder
from leasekeeper.tokens.saved import SavedToken
from leasekeeper.vault.response import JsonNumber, VaultResponse
from tests.captured_logs import capture_logs

KEY = "canary-key-" + "k" * 32
TOKEN = "hvs.canary-token"
RESPONSE = VaultResponse(
    lease_id="database/creds/x/1",
    lease_duration_s=60,
    renewable=True,
    data={"username": "ünï", "password": "canary-password", "n": JsonNumber("1.10"), "l": [None]},
)


def document(**more: Any) -> Document:
    return {
        "login": "digest",
        "token": SavedToken(
            client_token=TOKEN,
            accessor="acc",
            policies=("default",),
            increment_s=60,
            renewable=True,
            final=False,
            expires_wall=2e9,
        ),
        "secrets": [
            SavedSecret(
                request=SecretRequest.write("a/b", {"k": "v"}),
                kind=SecretKind.LEASED,
                response=RESPONSE,
                increment_s=60,
                of_token=True,
                expires_wall=2e9,
                fetch_wall=float("inf"),
                mature_wall=1e9,
            )
        ],
        "spent": {SecretRequest.read("a"): 1.5},
        "minting": False,
        "leftovers": ["hvs.canary-old"],
        **more,
    }


def settings(path: Path, address: str = "http://vault:8200", **encryption: object) -> Settings:
    return Settings.model_validate(
        {
            "vault": {"address": address},
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": "/x", "template": "x"}],
            "state": {"path": str(path), "encryption": encryption or {"key": KEY}},
        }
    )


async def write(config: Settings, what: Document | None = None) -> None:
    recorder = await open_recorder(config, encode)
    await recorder.load(decode)
    recorder.collect = lambda: what or document()
    stop = asyncio.Event()
    running = asyncio.get_running_loop().create_task(
        run_root_tasks({"state": recorder.run}, stop=stop)
    )
    await recorder.flush()
    error = recorder.error
    stop.set()
    await running
    await recorder.close(keep=True)
    assert error is None


async def read(config: Settings) -> Document | None:
    recorder = await open_recorder(config, encode)
    try:
        return await recorder.load(decode)
    finally:
        await recorder.close(keep=True)


@pytest.mark.parametrize("encryption", [{"key": KEY}, {"none": True}])
async def test_what_was_written_is_read_again(tmp_path: Path, encryption: Any) -> None:
    config = settings(tmp_path / "state", **encryption)
    await write(config)
    found = await read(config)

    assert found is not None
    del found["saved_at"]
    assert found == {**document(), "spent": list(document()["spent"].items())}


async def test_the_file_is_ours_alone_and_shows_no_secret(tmp_path: Path) -> None:
    await write(settings(tmp_path))
    file = tmp_path / STATE_FILE
    content = file.read_bytes()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"canary" not in content
    assert sorted(os.listdir(tmp_path)) == [LOCK_FILE, STATE_FILE]


def _damages() -> Iterator[tuple[str, Any]]:
    yield "empty", lambda raw: b""
    yield "cut off", lambda raw: raw[:-5]
    yield "cut off in the header", lambda raw: raw[:15]
    yield "one bit", lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]
    yield "future", lambda raw: raw.replace(b"state 1", b"state 2", 1)
    yield "garbage", lambda raw: os.urandom(1000)
    yield "other header", lambda raw: raw.replace(b"encryption", b"encryptiom", 1)


@pytest.mark.parametrize(("what", "damage"), list(_damages()))
@pytest.mark.parametrize("encryption", [{"key": KEY}, {"none": True}])
async def test_a_damaged_file_is_a_warning_and_a_fresh_start(
    tmp_path: Path, what: str, damage: Any, encryption: Any
) -> None:
    config = settings(tmp_path, **encryption)
    await write(config)
    file = tmp_path / STATE_FILE
    file.write_bytes(damage(file.read_bytes()))

    with capture_logs() as logs:
        assert await read(config) is None
    assert "state.rejected" in [log["event"] for log in logs]
    await write(config)
    assert await read(config) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"address": "http://another:8200"},
        {"key": KEY.upper()},
        {"none": True},
        {"host": "another-machine"},
        {"task": "another task"},
    ],
)
async def test_somebody_elses_file_is_of_no_use(
    tmp_path: Path, other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(settings(tmp_path))
    if host := other.pop("host", None):
        monkeypatch.setattr("socket.gethostname", lambda: host)
    if other.pop("task", None):
        monkeypatch.setattr("leasekeeper.state.identity._machine_id", lambda: "other")

    assert await read(settings(tmp_path, **other)) is None


async def test_a_document_that_is_not_understood_is_a_fresh_start(tmp_path: Path) -> None:
    config = settings(tmp_path)
    recorder = await open_recorder(config, lambda _document: b'{"saved_at": "yesterday"}')
    await recorder.load(decode)
    recorder.collect = dict
    recorder.changed()
    await recorder.close(keep=True)

    assert (tmp_path / STATE_FILE).exists()
    assert await read(config) is None


async def test_a_directory_that_cannot_be_written_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PublishError) as caught:
        await read(settings(tmp_path / "file" / "state"))

    assert caught.value.exit_code == 5
    assert str(tmp_path) in str(caught.value)


async def test_two_processes_cannot_use_one_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_recorder(settings(tmp_path), encode)
    await first.load(decode)
    monkeypatch.setattr("leasekeeper.state.directory.LOCK_WAIT_S", 0.1)
    with pytest.raises(StateError, match="in use by another process"):
        await read(settings(tmp_path))
    await first.close(keep=True)

    assert await read(settings(tmp_path)) is None


async def test_a_directory_that_vanishes_is_trouble_and_mends_itself(tmp_path: Path) -> None:
    path = tmp_path / "state"
    recorder = await open_recorder(settings(path), encode)
    await recorder.load(decode)
    recorder.collect = document
    (path / LOCK_FILE).unlink()
    path.rmdir()
    path.write_text("in the way")
    stop = asyncio.Event()
    running = asyncio.get_running_loop().create_task(
        run_root_tasks({"state": recorder.run}, stop=stop)
    )
    await recorder.flush()
    error: AgentError | None = recorder.error
    path.unlink()
    await _until_written(recorder, path / STATE_FILE)
    stop.set()
    await running
    await recorder.close(keep=False)

    assert isinstance(error, PublishError)
    assert not (path / STATE_FILE).exists()


async def _until_written(recorder: StateRecorder, file: Path) -> None:
    async with asyncio.timeout(10):
        while recorder.error is not None or not file.exists():
            await asyncio.sleep(0.02)


async def test_kms_makes_and_opens_the_data_key_for_this_task_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiobotocore.session import AioSession
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-access")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        async with AioSession().create_client("kms") as kms:
            key_id = (await kms.create_key())["KeyMetadata"]["KeyId"]
        config = settings(tmp_path, kms_key_id=key_id)
        await write(config)
        assert b"canary" not in (tmp_path / STATE_FILE).read_bytes()
        assert await read(config) is not None

        monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
        assert await read(config) is None
    finally:
        server.stop()
    await _no_kms(config)


@pytest.fixture
async def silent_kms(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Server]:
    """Take requests to KMS and never answer."""
    end = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await end.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    yield server
    end.set()
    server.close()


async def test_a_kms_that_says_nothing_is_waited_for_so_long_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_kms: asyncio.Server
) -> None:
    """botocore's own limits add up to five minutes, in which nothing else could begin."""
    from leasekeeper.aws import kms

    monkeypatch.setattr(kms, "DEADLINE_S", 1.0)
    (tmp_path / STATE_FILE).write_bytes(sealed_by_kms())
    recorder = await open_recorder(settings(tmp_path, kms_key_id="alias/x"), encode)
    with capture_logs() as logs:
        assert await recorder.load(decode) is None
        await _failing_write(recorder)

    told = {log["event"]: log for log in logs}
    assert told["state.rejected"]["error"] == (
        "decrypting the data key with 'alias/x': no answer within 1 s"
    )
    assert "generating a data key" in told["state.write_failed"]["error"]


async def test_the_event_loop_does_other_things_while_a_key_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading botocore alone took half a second, in which /health did not answer."""
    from leasekeeper.aws.kms import KmsKey

    asked_in = []

    async def generate(_self: KmsKey) -> tuple[bytes, bytes]:
        asked_in.append(threading.current_thread())
        return b"k" * 32, b"blob"

    monkeypatch.setattr(KmsKey, "generate", generate)
    await write(settings(tmp_path, kms_key_id="alias/x"))

    assert (tmp_path / STATE_FILE).exists()
    assert threading.main_thread() not in asked_in
    assert len(asked_in) == 1


def sealed_by_kms() -> bytes:
    """Return a file whose key only KMS can tell."""
    return b'leasekeeper state 1\n{"encryption": "kms", "data_key": "QUFB"}\n' + b"x" * 64


async def _no_kms(config: Settings) -> None:
    recorder = await open_recorder(config, encode)
    assert await recorder.load(decode) is None
    assert "data key" in await _failing_write(recorder)


async def _failing_write(recorder: StateRecorder) -> str:
    """Close the recorder when it has failed to write, and return why."""
    recorder.collect = document
    recorder.changed()
    stop = asyncio.Event()
    running = asyncio.get_running_loop().create_task(
        run_root_tasks({"state": recorder.run}, stop=stop)
    )
    async with asyncio.timeout(20):
        while recorder.error is None:
            await asyncio.sleep(0.02)
    stop.set()
    await running
    error = str(recorder.error)
    await recorder.close(keep=True)
    return error
