"""Several tasks on one volume: one of them logs in, mints and writes; the others take over."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.program import Leasekeeper, until
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


def config(world: SharedWorld, volume: Path) -> str:
    secret = f'{{{{ with secret "{world.parts.creds_path}" }}}}'
    return (
        f"auth: {{method: aws_iam, role: {world.parts.settings.role}}}\n"
        f"shared: {{directory: {volume}/.leasekeeper, takeover_after: 3s}}\n"
        f"groups: [{{link: {volume}/product}}]\n"
        "outputs:\n"
        f"  - destination: {volume}/product/user\n"
        f"    template: '{secret}{{{{ .Data.username }}}}{{{{ end }}}}'\n"
        f"  - destination: {volume}/product/login\n"
        f"    template: '{secret}{{{{ .Data.username }}}}:{{{{ .Data.password }}}}{{{{ end }}}}'\n"
    )


async def leader_of(tasks: list[Leasekeeper], term: int = 1) -> Leasekeeper:
    """Return the task that leads in *term*, once it has everything in place."""

    def elected() -> list[Leasekeeper]:
        return [t for t in tasks for e in t.events("leader.elected") if e["term"] == term]

    await until(lambda: bool(elected()))
    (leader,) = elected()
    await leader.event("agent.ready")
    return leader


async def test_three_tasks_hold_one_lease_and_outlive_their_leader(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = set(await world.run(world.parts.leases()))
    async with AsyncExitStack() as stack:
        tasks = [
            await stack.enter_async_context(
                Leasekeeper(env=world.parts.environment(), config=config(world, tmp_path))
            )
            for _ in range(3)
        ]
        leader = await leader_of(tasks)
        others = [task for task in tasks if task is not leader]
        first = (tmp_path / "product" / "login").read_text()

        assert len(set(await world.run(world.parts.leases())) - before) == 1
        for task in others:
            await task.event("web.listening")
            async with asyncio.timeout(20):
                while (health := await task.health())["state"] != "healthy":
                    await asyncio.sleep(0.05)
            assert health["shared"]["leading"] is False
            assert health["shared"]["term"] == 1
            assert set(health["outputs"]) == {
                f"{tmp_path}/product/user",
                f"{tmp_path}/product/login",
            }
            assert task.events("token.login_succeeded") == []
            assert await task.metric("leasekeeper_leading") == 0
        assert (await leader.health())["shared"]["leading"] is True
        assert await leader.metric("leasekeeper_leading") == 1
        manifest = (tmp_path / ".leasekeeper" / "manifest.json").read_text()
        assert first.partition(":")[2] not in manifest

        # One that is to publish once is done when everything is in place.
        once = Leasekeeper(
            "run", "--once", env=world.parts.environment(), config=config(world, tmp_path)
        )
        async with once:
            assert await once.ended() == 0
            assert once.events("token.login_succeeded") == []

        leader.process.kill()
        second = await leader_of(others, term=2)
        assert len(set(await world.run(world.parts.leases())) - before) == 2
        # What a dead leader has left behind works until its lease ends: nobody was in a hurry.
        assert (await second.health())["state"] == "healthy"
        user = (tmp_path / "product" / "user").read_text()
        assert (tmp_path / "product" / "login").read_text().startswith(f"{user}:")
        assert user != first.partition(":")[0]
        for task in others:
            code, _ = await task.stop()
            assert code == 0


async def test_a_leader_that_wakes_up_after_it_was_replaced_stands_by(
    world: SharedWorld, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        tasks = [
            await stack.enter_async_context(
                Leasekeeper(env=world.parts.environment(), config=config(world, tmp_path))
            )
            for _ in range(2)
        ]
        first = await leader_of(tasks)
        first.process.send_signal(signal.SIGSTOP)
        second = await leader_of(tasks, term=2)
        assert second is not first
        content = (tmp_path / "product" / "login").read_text()
        followed = len(first.events("leader.followed"))
        first.process.send_signal(signal.SIGCONT)
        await first.event("leader.replaced")
        await first.event("leader.followed", count=followed + 1)

        assert (tmp_path / "product" / "login").read_text() == content
        assert (await first.health())["shared"]["leading"] is False
        assert len(second.events("leader.elected")) == 1
        for task in tasks:
            code, _ = await task.stop()
            assert code == 0


async def test_what_a_leader_puts_in_place_after_it_was_suspended_and_replaced_is_mended(
    world: SharedWorld, tmp_path: Path
) -> None:
    """Suspended between its look at the manifest and the rename: nothing can stop that rename."""
    flag, file = tmp_path / "flag", tmp_path / "value"
    admin, path = world.parts.admin, "secret/data/suspended"
    text = (
        f"auth: {{method: aws_iam, role: {world.parts.settings.role}}}\n"
        f"shared: {{directory: {tmp_path}/.leasekeeper, takeover_after: 3s}}\n"
        "secrets: {static_secret_render_interval: 1s}\n"
        "lifecycle: {repair_interval: 1s}\n"
        f"outputs: [{{destination: {file}, template: "
        "'{{ with secret \"secret/data/suspended\" }}{{ .Data.data.v }}{{ end }}'}]\n"
    )
    await world.run(admin.write(path, data={"v": "1"}))
    first = Leasekeeper(
        *(str(flag), file.name, "run"),
        env=world.parts.environment(),
        config=text,
        cwd=Path(__file__).parents[2],
        module="tests.fakes.suspended",
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first)
        await leader_of([first])
        second = Leasekeeper(env=world.parts.environment(), config=text)
        await stack.enter_async_context(second)
        await second.event("leader.followed")
        flag.touch()
        await world.run(admin.write(path, data={"v": "2"}))
        await leader_of([second], term=2)
        assert file.read_text() == "2"
        await world.run(admin.write(path, data={"v": "3"}))
        await second.event("file.published", count=2)
        assert file.read_text() == "3"

        first.process.send_signal(signal.SIGCONT)
        await until(lambda: not flag.exists())
        await second.event("file.repaired", within_s=20)
        await first.event("leader.replaced")
        assert file.read_text() == "3"
        for task in (first, second):
            assert (await task.stop())[0] == 0
