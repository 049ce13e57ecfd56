"""Another configuration for a loop that runs: who notices, and what stays on disk meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from leasekeeper.outputs.loop import Applied, OutputLoop
from tests.unit.outputs.test_output_loop import A, B, Store, Text, World, named


async def apply(world: World, loop: OutputLoop, **lifecycle: Any) -> Applied:
    settings = world.lifecycle.model_copy(update=lifecycle)
    applied = await loop.apply(settings, world.sources, ())
    await asyncio.sleep(1)
    return applied


async def test_outputs_that_stay_the_same_notice_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")
    same = Text(A)
    world.output("same", same)
    async with world.running() as loop:
        before = named(loop, "same")
        new = world.output("new", Text(B))
        applied = await apply(world, loop)

        assert applied == Applied(added=(str(new),), changed=(), removed=())
        assert named(loop, "same") is before
        assert (same.renders, before.generation) == (1, 1)
        assert new.read_text() == "b1"


async def test_a_changed_output_goes_on_counting(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    path = world.output("app", Text(A))
    async with world.running() as loop:
        world.sources.clear()
        world.output("app", Text(A, write=lambda values: f"[{values[A]}]"))
        applied = await apply(world, loop)

        assert applied.changed == (str(path),)
        assert path.read_text() == "[a1]"
        assert named(loop, "app").generation == 2
        assert not loop.busy


async def test_the_old_source_goes_on_until_the_new_one_has_been_published(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="5s")
    path = world.output("app", Text(A))
    async with world.running() as loop:
        world.sources.clear()
        source = Text(B)
        world.output("app", source)
        await apply(world, loop)
        waiting = named(loop, "app")
        assert (path.read_text(), waiting.waiting_for) == ("a1", ("kv/b",))
        assert {A, B} <= loop.used

        world.store.put(A, "a2")
        await asyncio.sleep(1)
        assert path.read_text() == "a2"
        assert [each.generation for each in waiting.published_snapshots] == [2]

        path.write_text("by somebody else")
        await asyncio.sleep(10)
        assert path.read_text() == "a2"

        world.store.put(B, "b1")
        await asyncio.sleep(1)
        assert path.read_text() == "b1"
        assert (named(loop, "app"), loop.used) == (waiting, {B})
        renders = source.renders
        world.store.put(A, "a3")
        await asyncio.sleep(10)
        assert path.read_text() == "b1"
        assert source.renders == renders


async def test_going_back_to_what_is_in_place_is_no_change(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="0")
    source = Text(A)
    world.output("app", source)
    old = list(world.sources)
    async with world.running() as loop:
        before = named(loop, "app")
        world.sources.clear()
        world.output("app", Text(B))
        await apply(world, loop)
        world.sources[:] = old
        await apply(world, loop)

        assert named(loop, "app") is before
        assert loop.used == {A}


async def test_files_that_are_not_wanted_any_more_stay_with_their_leases(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="5s")
    path = world.output("app", Text(A))
    async with world.running() as loop:
        world.sources.clear()
        applied = await apply(world, loop)
        world.store.put(A, "a2")
        await asyncio.sleep(10)

        assert applied.removed == (str(path),)
        assert (path.read_text(), loop.outputs, loop.used) == ("a1", (), frozenset())


async def test_files_that_are_not_wanted_any_more_go_where_files_are_removed(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="a1"), repair_interval="5s")
    path = world.output("app", Text(A))
    async with world.running() as loop:
        world.sources.clear()
        await apply(world, loop, remove_files=True)

        assert not path.exists()
        assert loop.left_behind == set()


async def test_a_start_that_waits_for_what_is_not_wanted_any_more_is_done(tmp_path: Path) -> None:
    world = World(tmp_path, Store(a="a1"))
    world.output("stuck", Text(B))
    async with world.running() as loop:
        assert not loop.settled.released
        world.sources.clear()
        world.output("app", Text(A))
        await apply(world, loop)

        assert loop.settled.released


async def test_a_secret_that_was_released_is_required_again_when_it_is_used_again(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")
    source = Text(A)
    world.output("app", source)
    async with world.running() as loop:
        loop.release([B])
        source.requests = (A, B)
        world.store.put(A, "a2")
        await asyncio.sleep(1)
        source.requests = (A,)
        world.store.put(A, "a3")
        await asyncio.sleep(1)
        loop.release([B])
        source.requests = (A, B)
        world.store.put(A, "a4")
        await asyncio.sleep(1)

    assert world.store.required == [A, B, B]
