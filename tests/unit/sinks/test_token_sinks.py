"""When sinks are written, and what a failure costs.

Files are real, time is virtual: blocking calls run at once, on the event loop.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from leasekeeper.errors import VaultDenied, VaultUnavailable
from leasekeeper.files.directory import Steps, alone
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.publish import Publication
from leasekeeper.settings.model import LifecycleSection
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.sinks.envelope import unseal
from leasekeeper.sinks.token_sinks import TokenSinks
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.lease import TokenLease
from leasekeeper.vault.response import AuthData, WrapInfo
from tests.captured_logs import capture_logs

REPAIR_S = 15.0


class Tokens:
    """Logs in when told to. A refusal is about the token, once, if *bad_token* says so."""

    def __init__(self) -> None:
        self.lease: TokenLease | None = None
        self.logins = 0
        self.bad_token = False
        self._listeners: list[Callable[[], None]] = []

    def log_in(self) -> None:
        self.logins += 1
        auth = AuthData(client_token=f"s.canary-{self.logins}", accessor=f"acc-{self.logins}")
        self.lease = TokenLease.of_login(auth, serial=self.logins, granted_at=0)
        for listener in self._listeners:
            listener()

    def on_login(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def verify(self, refusal: VaultDenied) -> bool:
        await asyncio.sleep(0)
        if self.bad_token:
            self.bad_token = False
            self.log_in()
            return True
        return False


class Wrapping:
    """Wraps the live token; *error* is raised instead."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.error: Exception | None = None
        self.asked: list[float] = []

    async def wrap_token(self, ttl_s: float) -> WrapInfo:
        self.asked.append(ttl_s)
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        assert self._tokens.lease is not None
        token = f"s.wrapping-{len(self.asked)}-of-{self._tokens.lease.serial}"
        return WrapInfo(token=token, ttl_s=round(ttl_s), creation_path="sys/wrapping/wrap")


T = TypeVar("T")


class Inline(FileWorkers):
    """Runs every job at once, or never when the path in its strand is said to hang.

    With *late* every commit is done, but nobody learns of it.
    """

    hanging: Path | None = None
    late = False

    async def run_steps(self, mount: str, steps: Steps[T], **options: Any) -> T:
        def commit() -> T:
            return alone(steps)

        outcome: T = await self.run(mount, commit, **options)
        return outcome

    async def run(
        self, mount: str, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        await asyncio.sleep(0)
        if str(self.hanging) == options["strand"]:
            await asyncio.sleep(3600)
        result = function(*args)
        if self.late and function.__name__ == "commit":
            await asyncio.sleep(3600)
        return result

    def submit(self, mount: str, function: Callable[..., object], *args: Any, **_o: Any) -> None:
        function(*args)


class World:
    """Sinks that run, and everything around them."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        self.tokens = Tokens()
        self.wrapping = Wrapping(self.tokens)
        self.workers = Inline()
        self.environ: dict[str, str] = {}
        self.lifecycle: dict[str, str] = {}
        self._sections: list[SinkSection] = []

    def sink(self, name: str, **settings: Any) -> Path:
        path = self.directory / name
        self._sections.append(SinkSection.model_validate({"path": str(path), **settings}))
        return path

    def reader(self, name: str = "key.json") -> tuple[X25519PrivateKey, dict[str, str]]:
        """Write a new key and return it, with the settings of a sink for it."""
        key = X25519PrivateKey.generate()
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        path = self.directory / name
        path.write_text(json.dumps({"curve25519_public_key": public}))
        return key, {"dh_type": "curve25519", "dh_path": str(path)}

    @asynccontextmanager
    async def running(self, *, login: bool = True) -> AsyncIterator[TokenSinks]:
        sinks = TokenSinks(
            self._sections,
            self.tokens,
            self.wrapping,
            lifecycle=LifecycleSection.model_validate(self.lifecycle),
            workers=self.workers,
            rng=random.Random(1),
            environ=self.environ,
        )
        if login:
            self.tokens.log_in()
        task = asyncio.get_running_loop().create_task(sinks.run(), name="sinks")
        try:
            await asyncio.sleep(0.5)
            yield sinks
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refuse_writes(monkeypatch: pytest.MonkeyPatch, path: Path) -> Callable[[], None]:
    """Let the volume of *path* be full until the function returned is called."""
    full, commit = asyncio.Event(), Publication._commit
    full.set()

    def fail(publication: Publication) -> Any:
        if full.is_set() and publication._target.path == str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return commit(publication)

    monkeypatch.setattr(Publication, "_commit", fail)
    return full.clear


async def test_every_login_is_followed_by_a_new_token_in_every_sink(world: World) -> None:
    paths = [world.sink("a"), world.sink("b/c", mode="0604")]

    with capture_logs() as logs:
        async with world.running():
            assert [path.read_text() for path in paths] == ["s.canary-1", "s.canary-1"]
            world.tokens.log_in()
            await asyncio.sleep(0.5)

    assert [path.read_text() for path in paths] == ["s.canary-2", "s.canary-2"]
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o640, 0o604]
    assert [(log["event"], log["accessor"]) for log in logs] == [
        ("sink.written", "acc-1"),
        ("sink.written", "acc-1"),
        ("sink.written", "acc-2"),
        ("sink.written", "acc-2"),
    ]
    assert "canary" not in str(logs)


async def test_nothing_is_written_before_the_first_login(world: World) -> None:
    path = world.sink("a")

    async with world.running(login=False) as sinks:
        await asyncio.sleep(3600)
        assert (path.exists(), sinks.settled.released) == (False, False)

        world.tokens.log_in()
        await asyncio.sleep(0.5)
        assert (path.read_text(), sinks.settled.released) == ("s.canary-1", True)


async def test_no_sinks_are_settled_and_run_for_ever(world: World) -> None:
    async with world.running() as sinks:
        await asyncio.sleep(3600)

        assert sinks.settled.released


async def test_the_file_of_the_last_process_is_no_news_when_it_holds_the_token(
    world: World,
) -> None:
    path = world.sink("a")
    path.write_text("s.canary-1")
    path.chmod(0o640)
    before = path.stat().st_ino

    with capture_logs() as logs:
        async with world.running() as sinks:
            assert sinks.settled.released

    assert path.stat().st_ino == before
    assert logs == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(Path.unlink, id="deleted"),
        pytest.param(lambda path: path.write_text("x"), id="changed"),
        pytest.param(lambda path: path.chmod(0o666), id="opened to all"),
    ],
)
async def test_a_spoilt_file_is_repaired_within_the_interval(
    world: World, spoil: Callable[[Path], object]
) -> None:
    path = world.sink("a")

    with capture_logs() as logs:
        async with world.running():
            spoil(path)
            await asyncio.sleep(REPAIR_S)

            assert path.read_text() == "s.canary-1"
            assert path.stat().st_mode & 0o777 == 0o640
    assert [log["event"] for log in logs] == ["sink.written", "file.repaired"]


async def test_nothing_is_repaired_when_that_is_switched_off(world: World) -> None:
    path = world.sink("a")
    world.lifecycle["repair_interval"] = "0"

    async with world.running():
        path.unlink()
        await asyncio.sleep(3600)

        assert not path.exists()


async def test_a_dead_token_is_not_written_again(world: World) -> None:
    path = world.sink("a")

    async with world.running():
        world.tokens.lease = None
        path.unlink()
        await asyncio.sleep(3600)

        assert not path.exists()


async def test_a_sink_that_cannot_be_written_costs_the_others_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = world.sink("bad"), world.sink("good")
    bad.write_text("the last good one")
    mend = refuse_writes(monkeypatch, bad)

    with capture_logs() as logs:
        async with world.running() as sinks:
            assert good.read_text() == "s.canary-1"
            assert bad.read_text() == "the last good one"
            await asyncio.sleep(300)
            assert not sinks.settled.released
            assert [(sink.path, error.retryable) for sink, error in sinks.failures()] == [
                (str(bad), True)
            ]

            mend()
            await asyncio.sleep(61)
            assert bad.read_text() == "s.canary-1"
            assert sinks.settled.released
            assert sinks.failures() == []

    told = [log["event"] for log in logs if log["log_level"] != "debug"]
    assert sorted(told[:2]) == ["sink.write_failed", "sink.written"]
    assert told[2:] == ["sink.written", "sink.write_recovered"]
    assert not list(world.directory.glob(".*.tmp"))


async def test_pauses_between_tries_grow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_writes(monkeypatch, world.sink("bad"))

    with capture_logs() as logs:
        async with world.running():
            await asyncio.sleep(3600)

    assert 3600 / 60 < len(logs) < 3600 / 30 + 10


async def test_a_hung_file_system_holds_up_its_own_sink_alone(world: World) -> None:
    bad, good = world.sink("bad"), world.sink("good")
    world.workers.hanging = bad

    async with world.running() as sinks:
        await asyncio.sleep(31)
        (failure,) = sinks.failures()
        assert "Connection timed out" in str(failure[1])

        world.tokens.log_in()
        await asyncio.sleep(0.5)
        assert good.read_text() == "s.canary-2"

        world.workers.hanging = None
        await asyncio.sleep(60)
        assert bad.read_text() == "s.canary-2"


async def test_a_repair_that_was_given_up_is_followed_by_others(world: World) -> None:
    path = world.sink("a")

    with capture_logs() as logs:
        async with world.running() as sinks:
            world.workers.late = True
            path.unlink()
            async with asyncio.timeout(120):
                while "sink.write_failed" not in [log["event"] for log in logs]:
                    await asyncio.sleep(0.1)

            world.workers.late = False
            path.unlink()
            await asyncio.sleep(REPAIR_S)
            assert path.read_text() == "s.canary-1"
            assert sinks.failures() == []


async def test_a_login_during_a_retry_is_written_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.sink("bad")
    mend = refuse_writes(monkeypatch, path)

    async with world.running():
        await asyncio.sleep(600)
        mend()
        world.tokens.log_in()
        await asyncio.sleep(0.1)

        assert path.read_text() == "s.canary-2"


# -- wrapping -------------------------------------------------------------------------------------


async def test_a_wrapped_sink_holds_a_wrapping_of_each_token(world: World) -> None:
    path = world.sink("a", wrap_ttl="5m")

    async with world.running():
        assert json.loads(path.read_text())["token"] == "s.wrapping-1-of-1"
        world.tokens.log_in()
        await asyncio.sleep(0.5)

        assert json.loads(path.read_text())["token"] == "s.wrapping-2-of-2"
        assert world.wrapping.asked == [300, 300]
        assert redactor.redact("s.wrapping-2-of-2") == "[redacted]"


async def test_a_wrapping_is_left_alone_until_it_is_deleted(world: World) -> None:
    path = world.sink("a", wrap_ttl="5m")

    async with world.running():
        path.write_text("used")
        await asyncio.sleep(3600)
        assert (path.read_text(), len(world.wrapping.asked)) == ("used", 1)

        path.unlink()
        await asyncio.sleep(REPAIR_S)
        assert json.loads(path.read_text())["token"] == "s.wrapping-2-of-1"


async def test_a_file_that_cannot_be_written_does_not_cost_vault_a_wrapping_each_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.sink("a", wrap_ttl="10m")
    mend = refuse_writes(monkeypatch, path)

    async with world.running():
        await asyncio.sleep(290)
        assert len(world.wrapping.asked) == 1

        mend()
        await asyncio.sleep(70)  # by then more than half of its life is over
        found = json.loads(path.read_text())["token"]
        assert found == f"s.wrapping-{len(world.wrapping.asked)}-of-1"
        assert len(world.wrapping.asked) <= 2


async def test_a_wrapping_never_reaches_a_reader_past_half_its_life(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.sink("a", wrap_ttl="1m")
    mend = refuse_writes(monkeypatch, path)

    async with world.running():
        await asyncio.sleep(600)
        mend()
        await asyncio.sleep(61)

        newest = len(world.wrapping.asked)
        assert json.loads(path.read_text())["token"] == f"s.wrapping-{newest}-of-1"
        assert 661 / 60 - 1 <= newest <= 661 / 30 + 1


async def test_vaults_return_is_followed_by_the_wrapping_at_once(world: World) -> None:
    path, plain = world.sink("a", wrap_ttl="5m"), world.sink("b")
    world.wrapping.error = VaultUnavailable("wrap token: no answer")

    with capture_logs() as logs:
        async with world.running() as sinks:
            await asyncio.sleep(600)
            assert plain.read_text() == "s.canary-1"
            assert not path.exists()

            world.wrapping.error = None
            sinks.wake()
            await asyncio.sleep(0.1)
            assert path.exists()

    told = [log["event"] for log in logs if log["log_level"] != "debug"]
    assert sorted(told[:2]) == ["sink.write_failed", "sink.written"]
    assert told[2:] == ["sink.written", "sink.write_recovered"]


async def test_a_refused_wrapping_of_a_good_token_is_a_matter_of_policy(world: World) -> None:
    world.sink("a", wrap_ttl="5m")
    world.wrapping.error = VaultDenied("wrap token 'sys/wrapping/wrap': 403 permission denied")

    async with world.running() as sinks:
        ((_, error),) = sinks.failures()

        assert "allow update on sys/wrapping/wrap" in str(error)
        assert world.tokens.logins == 1


async def test_a_refused_wrapping_of_a_bad_token_waits_for_the_next_one(world: World) -> None:
    path = world.sink("a", wrap_ttl="5m")
    world.tokens.bad_token = True
    world.wrapping.error = VaultDenied("wrap token 'sys/wrapping/wrap': 403 permission denied")

    async with world.running(login=False) as sinks:
        world.tokens.log_in()
        await asyncio.sleep(0.005)
        # The wrapping is under way; its refusal brings a login, whose token is a good one.
        world.tokens.on_login(lambda: setattr(world.wrapping, "error", None))
        await asyncio.sleep(0.1)

        assert world.tokens.logins == 2
        assert json.loads(path.read_text())["token"] == "s.wrapping-2-of-2"
        assert sinks.failures() == []


# -- encryption -----------------------------------------------------------------------------------


async def test_the_wrapping_is_what_gets_encrypted(world: World) -> None:
    key, settings = world.reader()
    path = world.sink("a", wrap_ttl="5m", derive_key=True, aad="task/1", **settings)

    async with world.running():
        opened = unseal(path.read_bytes(), key.private_bytes_raw(), derive_key=True, aad=b"task/1")

        assert opened.endswith(b"\n")
        assert json.loads(opened)["token"] == "s.wrapping-1-of-1"


async def test_the_variable_goes_before_the_additional_data_in_the_file(world: World) -> None:
    key, settings = world.reader()
    path = world.sink("a", aad="file", aad_env_var="APP_AAD", **settings)
    world.environ["APP_AAD"] = "variable"

    async with world.running():
        opened = unseal(
            path.read_bytes(), key.private_bytes_raw(), derive_key=False, aad=b"variable"
        )

        assert opened == b"s.canary-1"


async def test_a_variable_that_is_not_set_is_told(world: World) -> None:
    _, settings = world.reader()
    world.sink("a", aad_env_var="APP_AAD", **settings)

    with capture_logs() as logs:
        async with world.running():
            pass

    assert (logs[0]["event"], logs[0]["variable"]) == ("sink.aad_missing", "APP_AAD")


async def test_a_reader_may_bring_its_key_later(world: World) -> None:
    key, settings = world.reader()
    text = (world.directory / "key.json").read_text()
    (world.directory / "key.json").unlink()
    path = world.sink("a", **settings)

    async with world.running() as sinks:
        ((_, error),) = sinks.failures()
        assert "reading the public key" in str(error)

        (world.directory / "key.json").write_text(text)
        await asyncio.sleep(60)
        opened = unseal(path.read_bytes(), key.private_bytes_raw(), derive_key=False, aad=b"")
        assert opened == b"s.canary-1"


async def test_the_first_key_stays_the_readers(world: World) -> None:
    """Whoever can replace the key file does not get the next token."""
    key, settings = world.reader()
    path = world.sink("a", **settings)

    async with world.running():
        world.reader()
        world.tokens.log_in()
        await asyncio.sleep(0.5)

        opened = unseal(path.read_bytes(), key.private_bytes_raw(), derive_key=False, aad=b"")
        assert opened == b"s.canary-2"


async def test_a_deleted_envelope_comes_back_as_it_was(world: World) -> None:
    _, settings = world.reader()
    path = world.sink("a", **settings)

    async with world.running():
        before = path.read_bytes()
        path.unlink()
        await asyncio.sleep(REPAIR_S)

        assert path.read_bytes() == before
