"""Features that meet: state, groups, the shared leader, `exec`, `--once` and the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.program import Leasekeeper, until
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

KEY = "an-example-key-of-32-characters-or-more"
APPLICATION = """
import json, os, signal, sys, time

def say(**what):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps(what) + "\\n")

signal.signal(signal.SIGHUP, lambda *_: say(told="SIGHUP"))
say(user=os.environ["DB_USER"], file=open(sys.argv[2]).read())
while True:
    time.sleep(60)
"""


def config(world: SharedWorld, folder: Path, more: str = "", *, state: str = "state") -> str:
    """Return a group of two files of one lease in *folder*, with a state."""
    secret = f'{{{{ with secret "{world.parts.creds_path}" }}}}'
    return (
        f"auth: {{method: aws_iam, role: {world.parts.settings.role}}}\n"
        f"state: {{path: {folder}/{state}, encryption: {{key: {KEY}}}}}\n"
        f"secrets: {{overlap: 1s}}\n{more}"
        f"groups: [{{link: {folder}/product}}]\n"
        "outputs:\n"
        f"  - destination: {folder}/product/user\n"
        f"    template: '{secret}{{{{ .Data.username }}}}{{{{ end }}}}'\n"
        f"  - destination: {folder}/product/login\n"
        f"    template: '{secret}{{{{ .Data.username }}}}:{{{{ .Data.password }}}}{{{{ end }}}}'\n"
    )


def program(world: SharedWorld, text: str, *arguments: str) -> Leasekeeper:
    return Leasekeeper(*arguments, env=world.parts.environment(), config=text)


async def users(world: SharedWorld) -> set[str]:
    """Return the users that the database has for leases now."""
    return set(await world.run(world.parts.postgres.roles()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restart_with_state_leaves_the_generation_of_a_group_alone(
    world: SharedWorld, tmp_path: Path, number: signal.Signals
) -> None:
    before, generations = await users(world), set()
    for arguments in ((), ("run", "--once"), ()):
        async with program(world, config(world, tmp_path), *arguments) as running:
            await running.event("agent.ready")
            generations.add(os.readlink(tmp_path / "product"))
            if arguments:
                assert await running.ended() == 0
            else:
                await running.stop(number)

    assert len(generations) == 1
    assert len(list((tmp_path / ".product.generations").glob("[0-9a-f]*"))) == 1
    assert running.events("token.login_succeeded") == running.events("group.published") == []
    assert len(await users(world) - before) == 1


async def test_a_leader_that_leads_again_goes_on_with_its_own_state(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = await users(world)
    shared = f"shared: {{directory: {tmp_path}/.leasekeeper, takeover_after: 3s}}\n"
    texts = [config(world, tmp_path, shared, state=name) for name in ("first", "second")]
    texts[1] += f"lifecycle: {{pid_file: {tmp_path}/pid}}\n"
    login = tmp_path / "product" / "login"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(program(world, texts[0]))
        await first.event("agent.ready")
        content = login.read_text()
        second = await stack.enter_async_context(program(world, texts[1]))
        await second.event("leader.followed")
        assert not (tmp_path / "second" / "leasekeeper.state").exists()
        assert (tmp_path / "pid").read_text() == str(second.process.pid)
        first.process.send_signal(signal.SIGSTOP)
        await second.event("agent.ready")
        other = login.read_text()
        first.process.send_signal(signal.SIGCONT)
        await first.event("leader.replaced")
        await first.event("leader.followed")
        assert login.read_text() == other != content
        await second.stop(signal.SIGKILL)
        await first.event("agent.ready", count=2)

        assert login.read_text() == content
        assert first.events("token.adopted")
        assert len(first.events("token.login_succeeded")) == 1
        assert len(await users(world) - before) == 2
        again = await stack.enter_async_context(program(world, texts[1]))
        await again.event("leader.followed")
        assert (await again.health())["state"] == "healthy"
        assert again.events("token.adopted") == []
        # A pair of tasks that publish once, one with each state: one is done by the other.
        once = await stack.enter_async_context(program(world, texts[1], "run", "--once"))
        assert await once.ended() == 0
        code, _ = await first.stop()
        assert code == 0


@pytest.mark.usefixtures("task_stops")
async def test_the_end_of_the_task_leaves_no_file_no_state_and_no_user(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = await users(world)
    more = "lifecycle: {on_exit: revoke, remove_files: true}\n"
    async with program(world, config(world, tmp_path, more)) as running:
        await running.event("agent.ready")
        code, _ = await running.stop()

    assert code == 0
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()]
    assert left == ["state/leasekeeper.lock"]
    async with asyncio.timeout(20):  # Vault revokes the leases of a token when it likes
        while await users(world) - before:
            await asyncio.sleep(0.1)


async def test_an_application_gets_the_same_lease_again_with_its_files_in_a_group(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = await users(world)
    script, diary = tmp_path / "application.py", tmp_path / "diary"
    script.write_text(APPLICATION)
    template = (
        f'{{{{ with secret "{world.parts.creds_path}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
    )
    execute = json.dumps(
        {
            "command": [sys.executable, str(script), str(diary), f"{tmp_path}/product/user"],
            "env": [{"name": "DB_USER", "template": template}],
        }
    )
    text = config(world, tmp_path, f"exec: {execute}\n")
    text = text.replace("product}]", "product, notify: {exec: SIGHUP}}]")

    def said() -> list[dict[str, str]]:
        lines = diary.read_text().splitlines() if diary.exists() else []
        return [json.loads(line) for line in lines]

    for number in (1, 2):
        async with program(world, text) as running:
            await running.event("app.started")
            await until(lambda: len(said()) == number)  # noqa: B023
            code, _ = await running.stop()
            assert code == 0
    (user,) = await users(world) - before

    assert said() == [{"user": user, "file": user}] * 2
    assert running.events("token.login_succeeded") == []


async def test_a_reload_reaches_the_leader_and_who_stands_by_and_one_who_takes_over(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = await users(world)
    shared = f"shared: {{directory: {tmp_path}/.leasekeeper, takeover_after: 3s}}\n"
    files = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    more = f"  - {{destination: {tmp_path}/product/port, template: '{{{{ 8080 }}}}'}}\n"

    def write(new: str = "") -> None:
        for file in files:
            file.write_text(config(world, tmp_path, shared, state=file.stem) + new)

    write()
    async with AsyncExitStack() as stack:
        tasks = []
        for file, event in zip(files, ("agent.ready", "leader.followed"), strict=True):
            task = Leasekeeper("run", "--config", str(file), env=world.parts.environment())
            await stack.enter_async_context(task)
            await task.event(event)
            tasks.append(task)
        user = (tmp_path / "product" / "user").read_text()
        write(more)
        for task in tasks:
            task.process.send_signal(signal.SIGHUP)
            await task.event("agent.reloaded")
        await until((tmp_path / "product" / "port").exists)

        assert (tmp_path / "product" / "user").read_text() == user
        assert len(await users(world) - before) == 1
        await tasks[0].stop()
        await tasks[1].event("agent.ready")
        assert (tmp_path / "product" / "port").read_text() == "8080"
        assert len((await tasks[1].health())["outputs"]) == 3
        write()
        tasks[1].process.send_signal(signal.SIGHUP)
        await tasks[1].event("agent.reloaded", count=2)
        await until(lambda: not (tmp_path / "product" / "port").exists())
        code, _ = await tasks[1].stop()
        assert code == 0
