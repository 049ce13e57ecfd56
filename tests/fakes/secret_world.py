"""A token keeper and a secret store over the fake Vault: the program's heart, without files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NoReturn

from leasekeeper.errors import AgentError
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.clock_watch import ClockWatch
from leasekeeper.runtime.latch import Latch
from leasekeeper.runtime.tasks import RootTask, run_root_tasks
from leasekeeper.secrets.memory import Memory, decode, encode
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.secrets.store import SecretStore
from leasekeeper.settings.model import Settings, VaultSection
from leasekeeper.state.recorder import LAZY_S
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.response import AuthData
from leasekeeper.vault.transport import Reply
from tests.fakes.fake_vault import FakeVault

CREDS = SecretRequest.read("database/creds/product")
KV = SecretRequest.read("secret/product")


class LateVault(FakeVault):
    """Does what it is asked at once, and answers some paths *late* (seconds by path)."""

    def __init__(self) -> None:
        super().__init__()
        self.late: dict[str, float] = {}

    async def send(self, method: str, path: str, *args: Any, **more: Any) -> Reply:
        try:
            return await super().send(method, path, *args, **more)
        finally:
            await asyncio.sleep(self.late.get(path.removeprefix("/v1/"), 0))


class Disk:
    """A recorder whose disk is this object: it lives on when the world that wrote it is killed."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.writes = 0
        self.error: AgentError | None = None
        self.collect: Callable[[], dict[str, Any]] | None = None

    def remember(self, login: str = "same login") -> Memory:
        """Return what a new process would know; whoever wrote before writes no more."""
        self.collect = None
        document = None if self.content is None else decode(self.content)
        return Memory(self, document, login)  # type: ignore[arg-type]

    def changed(self, *, at_once: bool = True) -> None:
        if not at_once:
            # A kill may cost these.
            asyncio.get_running_loop().call_later(LAZY_S, self._write, self.collect)
        self._write(self.collect if at_once else None)

    def _write(self, collect: Callable[[], dict[str, Any]] | None) -> None:
        if collect is not None and collect is self.collect:
            self.content = encode({"saved_at": wall(), **collect()})
            self.writes += 1

    async def flush(self) -> None:
        self.changed()

    async def run(self) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self, *, keep: bool) -> None:
        self.changed()
        if not keep:
            self.content = None


def wall() -> float:
    """A clock on the wall that goes with the loop's."""
    return 1_800_000_000 + now()


class FakeLogin:
    """Logs in without proof, and counts how many logins are in flight."""

    name = "fake"

    def __init__(self) -> None:
        self.now = self.most = 0

    async def login(self, client: VaultClient) -> AuthData:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            response = await client.login("approle", {})
        finally:
            self.now -= 1
        assert response.auth is not None
        return response.auth

    def describe(self) -> str:
        return "fake"

    async def close(self) -> None:
        return


class World:
    """A token keeper and a secret store over a fake Vault."""

    def __init__(
        self,
        vault: FakeVault,
        *,
        login: AuthMethod | None = None,
        seed: int = 7,
        max_backoff_s: float = 60.0,
        memory: Memory | None = None,
        empty_versions: bool = False,
        **settings: object,
    ) -> None:
        self.vault = vault
        self.login = login or FakeLogin()
        model = Settings.model_validate(
            {
                "auth": {"method": "approle", "role_id": "r"},
                "outputs": [{"destination": "/x", "template": "x"}],
                **settings,
            }
        )
        rng = Random(seed)
        self.client = VaultClient(VaultSection(address="http://fake:8200"), rng, vault)
        self.tokens = TokenKeeper(
            self.client,
            self.login,
            backoff=Backoff(minimum_s=1, maximum_s=max_backoff_s),
            overlap_s=model.secrets.overlap,
            probe_interval_s=model.probe.interval,
            rng=rng,
            saved=memory.saved_token if memory else None,
        )
        self.memory = memory
        self.asleep_s = 0.0
        self.clock = ClockWatch(lambda: self.asleep_s, now)
        self.clock.on_change(self.tokens.aged)
        self.client.before_sending(self.clock.look)
        self.bugs: list[BaseException] = []
        self.store = SecretStore(
            model,
            self.client,
            self.tokens,
            rng=rng,
            on_error=lambda _n, e: self.bugs.append(e),
            memory=memory,
            empty_versions=empty_versions,
        )
        self.seen: list[tuple[float, Snapshot]] = []
        self.clock.on_change(self.store.aged)
        self.store.subscribe(self._note)

    def suspend(self, seconds: float) -> None:
        """Let *seconds* pass for Vault, and stand still ourselves."""
        self.asleep_s += seconds
        self.vault.age(seconds)

    def _note(self, request: SecretRequest) -> None:
        snapshot = self.store.snapshot(request)
        assert snapshot is not None
        self.seen.append((now(), snapshot))
        self._wanted.discard(request)
        if not self._wanted:
            self._settled.release()

    def user(self, request: SecretRequest = CREDS) -> str:
        snapshot = self.store.snapshot(request)
        assert snapshot is not None
        assert snapshot.response.data is not None
        return str(snapshot.response.data["username"])

    @asynccontextmanager
    async def running(self, *requests: SecretRequest) -> AsyncIterator[World]:
        stop = asyncio.Event()
        roots: dict[str, RootTask] = {
            "token": self.tokens.run,
            "secrets": self.store.run,
            "vault watch": self.client.reachability.watch,
            "clock watch": self.clock.watch,
        }
        settled = Latch()
        self._wanted, self._settled = set(requests), settled
        if (memory := self.memory) is not None:
            roots["state"] = lambda: memory.run(settled, 5.0)
        self.store.require(requests)
        task = asyncio.get_running_loop().create_task(run_root_tasks(roots, stop=stop))
        try:
            yield self
        finally:
            stop.set()
            await task
        assert self.bugs == []

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.05)

    async def watch(self, seconds: float, check: Callable[[], None]) -> None:
        """Call *check* ten times a virtual second, as an application would use a credential."""
        end = now() + seconds
        while now() < end:
            check()
            await asyncio.sleep(0.1)
