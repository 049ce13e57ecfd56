"""What things cost, in numbers that do not depend on the machine: requests, calls, allocations.

A number that grows here is a price that every task pays. Raise it knowingly.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from leasekeeper.files.directory import Steps, alone
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.publish import Publication, is_as_published
from leasekeeper.files.target import Target
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import VaultResponse
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, World

TEXT = """\
{{ with secret "secret/data/product" }}user={{ .Data.data.user }}
password={{ .Data.data.password }}
port={{ .Data.data.port }}
{{ end }}"""
VALUES = {"user": "u", "password": "p" * 20, "port": "5432"}


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl = vault.token_max_ttl = 7200
    vault.kv2["product"] = VALUES
    return vault


# -- requests to Vault ----------------------------------------------------------------------------


T = TypeVar("T")


class Inline(FileWorkers):
    """Does file work at once: threads know nothing of virtual time."""

    async def run_steps(self, mount: str, steps: Steps[T], **options: Any) -> T:
        def commit() -> T:
            return alone(steps)

        outcome: T = await self.run(mount, commit, **options)
        return outcome

    async def run(
        self, mount: str, function: Callable[..., Any], *args: Any, **_options: Any
    ) -> Any:
        return function(*args)


async def test_a_start_with_200_templates_on_one_secret_asks_three_things(
    vault: FakeVault, tmp_path: Path
) -> None:
    world = World(vault)
    sources = [
        (
            OutputSection(destination=str(tmp_path / f"out{number}"), template="-"),
            Template.compile(TEXT, name="a", functions=library()),
        )
        for number in range(200)
    ]
    outputs = OutputLoop(
        LifecycleSection(),
        sources,
        world.store,
        rng=random.Random(1),
        environ={},
        workers=Inline(),
    )
    async with world.running():
        task = asyncio.get_running_loop().create_task(outputs.run(), name="outputs")
        await outputs.settled.wait()
        asked = vault.counts()
        task.cancel()
        await asyncio.wait([task])
        await outputs.close(deadline_s=1)

    assert len(os.listdir(tmp_path)) == 200
    assert asked == {
        "POST auth/approle/login": 1,
        "GET sys/internal/ui/mounts/secret/data/product": 1,
        "GET secret/data/product": 1,
    }


class Counting(Inline):
    """Counts the ways to a thread and back."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = 0

    async def run(self, *args: Any, **options: Any) -> Any:
        self.jobs += 1
        return await super().run(*args, **options)


async def test_an_idle_minute_with_20_files_costs_5_ways_to_a_thread(
    vault: FakeVault, tmp_path: Path
) -> None:
    """One for every look at all of them, at least every 15 s."""
    world, workers = World(vault), Counting()
    source = Template.compile(TEXT, name="a", functions=library())
    outputs = OutputLoop(
        LifecycleSection(),
        [
            (OutputSection(destination=str(tmp_path / f"out{number}"), template="-"), source)
            for number in range(20)
        ],
        world.store,
        rng=random.Random(1),
        environ={},
        workers=workers,
    )
    async with world.running():
        task = asyncio.get_running_loop().create_task(outputs.run(), name="outputs")
        await outputs.settled.wait()
        assert workers.jobs == 20
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.wait([task])
        await outputs.close(deadline_s=1)

    assert 4 <= workers.jobs - 20 <= 5


async def test_an_idle_hour_costs_a_probe_every_30_s_and_the_reads_that_were_asked_for(
    vault: FakeVault,
) -> None:
    requests = [SecretRequest.read(f"secret/s{number}") for number in range(20)]
    vault.kv2.update({f"s{number}": VALUES for number in range(20)})
    async with World(vault).running(*requests):
        await asyncio.sleep(3600)

    asked = Counter(_kind(method, path) for _, method, path in vault.requests)
    # The interval of 5 minutes and the probe are shortened by up to a tenth, against bursts.
    assert 20 * 12 <= asked.pop("read") <= 20 * 14
    assert 120 <= asked.pop("lookup") <= 134
    assert asked.pop("token renewal", 0) <= 1
    assert asked == {"login": 1, "mounts": 1}


async def test_an_hour_of_rotations_costs_one_request_for_each_credential(vault: FakeVault) -> None:
    vault.lease_ttl, vault.lease_max_ttl = 300, 900
    world = World(vault, secrets={"overlap": "30s"}, probe={"interval": "0s"})
    async with world.running(CREDS, KV):
        await asyncio.sleep(3600)

    asked = Counter(_kind(method, path) for _, method, path in vault.requests)
    assert asked.pop("mint") == len(vault.leases) <= 6
    assert asked.pop("renewal") <= 5 * len(vault.leases)
    assert asked.pop("read") <= 14
    assert asked.pop("token renewal", 0) <= 1
    assert asked == {"login": 1, "mounts": 2}  # one question for each mount


def _kind(method: str, path: str) -> str:
    kinds = {
        "auth/approle/login": "login",
        "auth/token/lookup-self": "lookup",
        "auth/token/renew-self": "token renewal",
        "sys/internal/ui/mounts": "mounts",
        "sys/leases/renew": "renewal",
        "secret/data": "read",
        "database/creds": "mint",
    }
    return next(
        (kind for start, kind in kinds.items() if path.startswith(start)), f"{method} {path}"
    )


# -- file operations ------------------------------------------------------------------------------

_CALLS = (
    "close", "fchmod", "fchown", "fstat", "fsync", "lstat", "mkdir", "open", "read", "rename",
    "stat", "unlink", "write",
)  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The calls of the file system from now on, by name."""
    counted: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counted[name] += 1
            return function(*args, **options)

        return call

    for name in _CALLS:
        monkeypatch.setattr(os, name, counting(name, getattr(os, name)))
    return counted


def test_a_file_costs_12_calls_and_two_of_them_wait_for_the_disk(
    tmp_path: Path, calls: Counter[str]
) -> None:
    Publication(Target(path=str(tmp_path / "other")), b"content").commit()  # imports and caches
    calls.clear()

    for content in (b"content", b"new content"):
        Publication(Target(path=str(tmp_path / "out")), content).commit()

        assert calls == {
            "open": 2, "close": 2,  # the directory and the temporary file
            "stat": 1,  # what is there now
            "write": 1, "fstat": 1, "fchmod": 1,
            "fsync": 2,  # before and after the rename: the file, the directory
            "rename": 1,
            "lstat": 1,  # what readers find
        }  # fmt: skip
        calls.clear()


def test_a_file_that_is_known_to_hold_something_else_is_not_read(
    tmp_path: Path, calls: Counter[str]
) -> None:
    target = Target(path=str(tmp_path / "out"))
    old = Publication(target, b"old").commit()
    calls.clear()

    Publication(target, b"new", other=old.fingerprint).commit()

    assert calls.total() == 12
    assert calls["read"] == 0


def test_a_file_that_is_there_already_is_read_and_not_written(
    tmp_path: Path, calls: Counter[str]
) -> None:
    target = Target(path=str(tmp_path / "out"))
    Publication(target, b"content").commit()
    calls.clear()

    Publication(target, b"content").commit()

    assert calls == {"open": 2, "close": 2, "stat": 1, "fstat": 3, "read": 1}


def test_looking_whether_a_file_is_intact_costs_one_call(
    tmp_path: Path, calls: Counter[str]
) -> None:
    target = Target(path=str(tmp_path / "out"))
    published = Publication(target, b"content").commit()
    calls.clear()

    assert is_as_published(target.path, published.fingerprint)
    assert calls == {"lstat": 1}


# -- memory ---------------------------------------------------------------------------------------


def _rendering() -> Callable[[], object]:
    request = SecretRequest.read("secret/data/product")
    snapshot = Snapshot(
        request=request,
        kind=SecretKind.STATIC,
        response=VaultResponse(data={"data": VALUES, "metadata": {"version": 1}}),
        generation=1,
        issued_at=0.0,
    )
    context = RenderContext(secret={request: snapshot}.get)
    template = Template.compile(TEXT, name="a", functions=library())
    return lambda: template.render(context)


def test_a_render_leaves_nothing_behind() -> None:
    render = _rendering()
    for _ in range(10):
        render()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        render()

    assert sys.getallocatedblocks() - before < 100


def test_a_render_needs_less_than_8_kib() -> None:
    render = _rendering()
    render()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        render()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak - before < 8 * 1024


def test_compiling_leaves_nothing_to_the_garbage_collector() -> None:
    _rendering()  # imports and caches
    gc.collect()
    gc.disable()
    try:
        template = Template.compile(TEXT, name="a", functions=library())
        assert template is not None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_compiled_template_of_four_lines_keeps_less_than_9_kib() -> None:
    _rendering()
    tracemalloc.start()
    try:
        templates = [
            Template.compile(TEXT, name=f"a{number}", functions=library()) for number in range(50)
        ]
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept / len(templates) < 9 * 1024
