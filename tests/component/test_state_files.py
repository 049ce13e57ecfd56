"""The state on a real disk: encrypted, whole, ours alone."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
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
    tmp_path: Path, what: str, damage: Any, encryption: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(tmp_path, **encryption)
    await write(config)
    file = tmp_path / STATE_FILE
    file.write_bytes(damage(file.read_bytes()))

    assert await read(config) is None
    assert "state.rejected" in capsys.readouterr().out
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


async def _no_kms(config: Settings) -> None:
    recorder = await open_recorder(config, encode)
    assert await recorder.load(decode) is None
    recorder.collect = document
    recorder.changed()
    await recorder.close(keep=True)

    assert "data key" in str(recorder.error)
