"""Outputs whose templates run programs: the world goes on while a thread renders them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from leasekeeper.outputs.render_attempt import _in_the_loop
from leasekeeper.templates.source import ProgramWanted, RenderContext, Rendered
from tests.unit.outputs.test_output_loop import A, B, Store, Text, World


class WithProgram(Text):
    """Wants a thread. *meanwhile* happens right after the next render."""

    meanwhile: Callable[[], object] | None = None

    def render(self, context: RenderContext) -> Rendered:
        if context.program is _in_the_loop:
            raise ProgramWanted
        rendered = super().render(context)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return rendered


async def test_a_secret_that_comes_during_the_first_render_is_not_missed(tmp_path: Path) -> None:
    world = World(tmp_path, Store(), repair_interval="0")
    world.output("keeps it fresh", Text(A))
    source = WithProgram(A)
    source.meanwhile = lambda: world.store.put(A, "a1")
    path = world.output("app", source)

    async with world.running() as loop:
        await asyncio.sleep(1)
        assert path.read_text() == "a1"
        assert source.renders == 2
        assert not loop.busy


async def test_what_ends_in_the_middle_of_a_render_is_woken_by_nothing_more(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, Store(a="a1", b="b1"), repair_interval="0")
    kept, source = Text(B), WithProgram(A)
    world.output("kept", kept)
    path = world.output("app", source)

    async with world.running() as loop:

        async def reload() -> None:
            del world.sources[1]
            await loop.apply(world.lifecycle, world.sources, ())
            path.unlink()

        reloads: list[asyncio.Task[None]] = []
        source.requests = (A, B)  # a secret that it has not asked for before
        source.meanwhile = lambda: reloads.append(
            asyncio.get_running_loop().create_task(reload(), name="reload")
        )
        world.store.put(A, "a2")
        await asyncio.sleep(1)
        await reloads[0]
        world.store.put(B, "b2")
        await asyncio.sleep(1)

        assert kept.renders == 2
        assert source.renders == 2
        assert not path.exists()
