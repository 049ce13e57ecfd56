"""Starting, publishing once, stopping: what a process leaves behind and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.program import Leasekeeper, inherited
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


def config(world: SharedWorld, *destinations: Path, more: str = "") -> str:
    """Return a configuration with one database output for each destination."""
    outputs = "".join(
        f"  - destination: {destination}\n"
        f'    template: \'{{{{ with secret "{world.parts.creds_path}" }}}}'
        "{{ .Data.username }}:{{ .Data.password }}{{ end }}'\n"
        for destination in destinations
    )
    role = world.parts.settings.role
    return f"auth: {{method: aws_iam, role: {role}}}\noutputs:\n{outputs}{more}"


async def test_sigterm_ends_it_within_two_seconds_and_leaves_nothing(
    world: SharedWorld, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, out / "a", out / "b")
    ) as program:
        await program.event("agent.ready")
        process = psutil.Process(program.process.pid)
        children = process.children(recursive=True)
        code, took_s = await program.stop()

    assert code == 0
    assert took_s < 2
    assert children == []
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]
    assert program.events()[-1]["event"] == "agent.stopped"
    assert "never awaited" not in program.text
    assert program.stderr == ""


async def test_a_clean_stop_leaves_no_task_no_thread_and_no_socket(
    world: SharedWorld, tmp_path: Path
) -> None:
    """The agent runs inside a process of the test's own that looks at itself afterwards."""
    script = tmp_path / "embedded.py"
    script.write_text(
        """
import asyncio, json, os, threading
from pathlib import Path
import psutil
from leasekeeper.agent import Agent
from leasekeeper.settings.loading import load_settings
from leasekeeper.telemetry import events

async def main():
    loaded = load_settings(config_file=None, environ=os.environ, overrides={})
    agent = Agent(loaded.settings)
    run = asyncio.create_task(agent.run())
    while not Path(loaded.settings.outputs[0].destination).exists() and not run.done():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    agent.stop.set()
    await run
    await asyncio.sleep(0.1)
    me = psutil.Process()
    sockets = [str(c) for c in me.net_connections("inet") if c.status != "CLOSE_WAIT"]
    print(json.dumps({
        "tasks": [t.get_name() for t in asyncio.all_tasks() if t is not asyncio.current_task()],
        "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
        "sockets": sockets,
    }))

with open(os.devnull, "w") as nowhere:
    events.configure("error", "json", nowhere)
    asyncio.run(main())
""",
        encoding="utf-8",
    )
    environment = {
        **world.parts.environment(),
        **inherited(),
        "LEASEKEEPER_WEB__LISTEN": "127.0.0.1:0",
        "LEASEKEEPER_CONFIG": config(world, tmp_path / "out"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", str(script), env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()

    assert json.loads(out) == {"tasks": [], "threads": [], "sockets": []}
    assert b"ResourceWarning" not in errors


async def test_once_publishes_everything_and_exits_with_0(
    world: SharedWorld, tmp_path: Path
) -> None:
    destinations = [tmp_path / name for name in "abc"]
    async with Leasekeeper(
        "run", "--once", env=world.parts.environment(), config=config(world, *destinations)
    ) as program:
        code = await program.ended()

    assert code == 0
    assert len({path.read_bytes() for path in destinations}) == 1


async def test_a_stop_in_the_middle_of_a_start_is_clean(world: SharedWorld, tmp_path: Path) -> None:
    env = {**world.parts.environment(), "VAULT_ADDR": "http://127.0.0.1:1"}
    async with Leasekeeper(env=env, config=config(world, tmp_path / "out")) as program:
        await program.event("token.login_failed")
        code, took_s = await program.stop(signal.SIGINT)

    assert code == 0
    assert took_s < 2
    assert list(tmp_path.iterdir()) == []


async def test_a_second_signal_ends_it_at_once(world: SharedWorld, tmp_path: Path) -> None:
    """The first signal waits for a notification that hangs; nobody has to wait with it."""
    more = "    notify: {command: {command: [sleep, '60']}, timeout: 60s}\n"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path / "out", more=more)
    ) as program:
        await program.event("agent.ready")
        program.process.send_signal(signal.SIGTERM)
        await program.event("agent.stopping")
        code, took_s = await program.stop()

    assert code == 128 + signal.SIGTERM
    assert took_s < 1


async def test_on_exit_revoke_leaves_everything_to_the_application_while_the_task_goes_on(
    world: SharedWorld, tmp_path: Path
) -> None:
    before = set(await world.run(world.parts.leases()))
    more = "lifecycle: {on_exit: revoke, remove_files: true}\n"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path / "out", more=more)
    ) as program:
        await program.event("agent.ready")
        lease = set(await world.run(world.parts.leases())) - before
        code, _ = await program.stop()

    assert code == 0
    assert program.events("agent.left_in_place")
    assert not program.events("token.revoked")
    assert (tmp_path / "out").exists()
    assert lease <= set(await world.run(world.parts.leases()))


@pytest.mark.usefixtures("task_stops")
async def test_files_are_removed_before_the_token_is_revoked_when_the_task_stops(
    world: SharedWorld, tmp_path: Path
) -> None:
    more = (
        f"lifecycle: {{on_exit: revoke, remove_files: true}}\nsinks: [{{path: {tmp_path}/token}}]\n"
    )
    async with Leasekeeper(
        env=world.parts.environment(),
        config=config(world, tmp_path / "ours", tmp_path / "replaced", more=more),
    ) as program:
        await program.event("agent.ready")
        await program.event("file.published", count=2)
        (tmp_path / "new").write_text("of another task", encoding="utf-8")
        (tmp_path / "new").rename(tmp_path / "replaced")
        code, _ = await program.stop()
        names = [event["event"] for event in program.events()]

    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["replaced"]
    assert names.count("file.removed") == 2
    assert names.index("token.revoked") > max(
        at for at, name in enumerate(names) if name == "file.removed"
    )


async def test_health_answers_while_the_last_publish_ends(
    world: SharedWorld, tmp_path: Path
) -> None:
    more = "    notify: {command: {command: [sleep, '60']}, timeout: 60s}\n"
    more += "lifecycle: {shutdown_deadline: 4s}\n"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path / "out", more=more)
    ) as program:
        await program.event("agent.ready")
        program.process.send_signal(signal.SIGTERM)
        await program.event("agent.stopping")
        status, _ = await program.get("/health")
        code = await program.ended()

    assert status == 200
    assert code == 0


@pytest.mark.usefixtures("task_stops")
async def test_on_exit_revoke_leaves_no_lease_behind(world: SharedWorld, tmp_path: Path) -> None:
    before = set(await world.run(world.parts.leases()))
    more = "lifecycle: {on_exit: revoke}\n"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path / "out", more=more)
    ) as program:
        await program.event("agent.ready")
        during = set(await world.run(world.parts.leases())) - before
        code, _ = await program.stop()
    assert code == 0
    assert len(during) == 1
    # OpenBao revokes the leases of a revoked token one after the other, in its own time.
    async with asyncio.timeout(20):
        while set(await world.run(world.parts.leases())) & during:
            await asyncio.sleep(0.1)
    assert program.events("token.revoked")


async def test_a_dead_process_leaves_garbage_that_the_next_start_removes(
    world: SharedWorld, tmp_path: Path
) -> None:
    garbage = tmp_path / ".out.0123456789abcdef.tmp"
    garbage.write_text("half a secret", encoding="utf-8")
    os.utime(garbage, (0, 0))
    async with Leasekeeper(
        "run", "--once", env=world.parts.environment(), config=config(world, tmp_path / "out")
    ) as program:
        await program.ended()

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


async def test_an_approle_login_imports_nothing_that_it_does_not_need(
    world: SharedWorld, tmp_path: Path
) -> None:
    """A sidecar is paid for by its memory: what a run does not need is not imported."""
    role = await world.run(world.parts.admin.read("auth/approle/role/product/role-id"))
    secret = await world.run(world.parts.admin.write("auth/approle/role/product/secret-id"))
    text = (
        f"auth: {{method: approle, role_id: {role['role_id']}}}\n"
        f"outputs: [{{destination: {tmp_path}/out, secret: secret/product, format: json}}]\n"
    )
    script = (
        "import sys; sys.argv = ['leasekeeper', 'run', '--once']\n"
        "before = set(sys.modules)\n"
        "from leasekeeper.__main__ import main\n"
        "code = main()\n"
        "print(sorted(set(sys.modules) - before))\n"
        "sys.exit(code)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE,
        env={
            **inherited(),
            "VAULT_ADDR": world.parts.address,
            "LEASEKEEPER_AUTH__SECRET_ID": secret["data"]["secret_id"],
            "LEASEKEEPER_WEB__LISTEN": "127.0.0.1:0",
            "LEASEKEEPER_CONFIG": text,
        },
    )  # fmt: skip
    out, _ = await process.communicate()
    modules = set(json.loads(out.decode().splitlines()[-1].replace("'", '"')))

    loaded = {name.partition(".")[0] for name in modules}
    assert process.returncode == 0
    assert not loaded & {
        "aiobotocore", "botocore", "cryptography", "csv", "difflib", "hcl2", "hvac",
        "multiprocessing", "opentelemetry", "prometheus_client", "re2", "requests", "sqlite3",
        "unittest", "urllib3", "xml", "zipfile",
    }  # fmt: skip
    assert "frozenlist._frozenlist" not in modules
    assert {"aiohttp", "uvloop", "pydantic"} <= loaded
    # Without what the interpreter starts with, which depends on how packages are installed: 507
    # and 129 with Python 3.11; most of the rest come with aiohttp and pydantic.
    assert len(modules) < 510
    assert len({name for name in modules if name.startswith("leasekeeper")}) < 130


async def test_with_an_iam_login_it_fits_into_70_mib(world: SharedWorld, tmp_path: Path) -> None:
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, tmp_path / "out")
    ) as program:
        await program.event("agent.ready")
        await program.get("/metrics")
        await program.get("/health")
        resident = psutil.Process(program.process.pid).memory_info().rss
        await program.stop()

    assert resident <= 70 * 2**20


async def test_each_task_writes_to_a_folder_of_its_own(world: SharedWorld, tmp_path: Path) -> None:
    destination = tmp_path / "{task_family}" / "{task_id}" / "out"
    async with Leasekeeper(
        env=world.parts.environment(), config=config(world, destination)
    ) as program:
        await program.event("agent.ready")
        folder = tmp_path / "product-api" / world.parts.ecs.task_id
        assert set(os.listdir(folder)) == {"out", ".leasekeeper-task"}
        code, _ = await program.stop()

    assert code == 0
    assert set(os.listdir(folder)) == {"out", ".leasekeeper-task"}
