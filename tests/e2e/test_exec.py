"""The application as a child of the whole program; beside `bao agent` with the same files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.devstack.openbao import find_bao
from tests.e2e.test_drop_in import app_role
from tests.program import Leasekeeper, inherited, until
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

APPLICATION = """
import json, os, signal, sys, time

def say(**what):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps(what) + "\\n")

def note(number, _frame):
    name = signal.Signals(number).name
    say(signal=name)
    if name in sys.argv[2].split(","):
        sys.exit(5)

for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP"):
    signal.signal(signal.Signals[name], note)
environ = {k.decode("latin-1"): v.decode("latin-1") for k, v in os.environb.items()}
say(environ=environ, arguments=sys.argv[2:], pid=os.getpid())
while True:
    time.sleep(60)
"""


def application(folder: Path) -> Path:
    """Write the application into *folder*; its first argument is its diary, the second the names
    of the signals that end it."""
    path = folder / "application.py"
    path.write_text(APPLICATION, encoding="utf-8")
    return path


def diary(path: Path) -> list[dict[str, Any]]:
    """Return what an application has written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def starts(path: Path) -> list[dict[str, str]]:
    """Return the environment of each start."""
    return [entry["environ"] for entry in diary(path) if "environ" in entry]


@contextlib.asynccontextmanager
async def running(
    command: list[str], env: dict[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program, and make sure that it ends."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def programs(path: Path) -> dict[str, list[str]]:
    """Return both programs with the same file."""
    return {
        "theirs": [find_bao(), "agent", f"-config={path}"],
        "ours": [sys.executable, "-m", "leasekeeper", "agent", f"-config={path}"],
    }


async def agent_file(
    world: SharedWorld, folder: Path, name: str, templates: str, execute: str
) -> Path:
    path = folder / f"{name}.hcl"
    path.write_text(
        f"""
vault {{
  address = "{world.parts.openbao.address}"
}}
auto_auth {{{await app_role(world, folder)}
}}
template_config {{
  static_secret_render_interval = "1s"
}}
{templates}
exec {{
{execute}
}}
""",
        encoding="utf-8",
    )
    return path


def environment(folder: Path) -> dict[str, str]:
    return {
        **inherited(),
        "HOME": str(folder),
        "GREETING": "inherited",
        "LANG": "C.UTF-8",
        "LEASEKEEPER_WEB__LISTEN": "off",
    }


async def test_the_application_sees_the_same_as_under_vault_agent(
    world: SharedWorld, tmp_path: Path
) -> None:
    """Environment, restart with its signal, end: both programs run at the same time."""
    admin = world.parts.admin
    values = {"user": "web", "text": ' a "b"\n $c é\n', "empty": "", "n": 7}
    await world.run(admin.write("secret/data/exec/app", data=values))
    source = tmp_path / "text.ctmpl"
    source.write_text('{{ with secret "secret/data/exec/app" }}{{ .Data.data.text }}{{ end }}')
    read = '{{ with secret \\"secret/data/exec/app\\" }}{{ .Data.data.%s }}{{ end }}'
    templates = f"""
env_template "APP_USER" {{
  contents = "{read % "user"}"
}}
env_template "APP_TEXT" {{
  source = "{source}"
}}
env_template "app.empty-one" {{
  contents = "{read % "empty"}"
}}
env_template "APP_NOTHING" {{
  contents = "[{read % "nothing"}]"
}}
env_template "GREETING" {{
  contents = "{read % "n"}"
}}
"""
    script = application(tmp_path)

    async def life(name: str) -> tuple[int, list[dict[str, Any]]]:
        told = tmp_path / f"{name}.diary"
        execute = f"""
  command = ["{sys.executable}", "-I", "{script}", "{told}", "SIGUSR1", "x y"]
  restart_stop_signal = "SIGUSR1"
"""
        path = await agent_file(world, tmp_path, name, templates, execute)
        command, log = programs(path)[name], tmp_path / f"{name}.log"
        async with running(command, environment(tmp_path), log) as process:
            await until(lambda: len(starts(told)) == 1)
            ready[name].set()
            await changed.wait()
            await until(lambda: len(starts(told)) == 2)
            process.send_signal(signal.SIGHUP)  # both keep it for themselves
            process.send_signal(signal.SIGUSR1)
            process.send_signal(signal.SIGTERM)
            code = await process.wait()
        return code, [{k: v for k, v in entry.items() if k != "pid"} for entry in diary(told)]

    async def change() -> None:
        for event in ready.values():
            await event.wait()
        await world.run(admin.write("secret/data/exec/app", data={**values, "user": "web2"}))
        changed.set()

    ready = {"theirs": asyncio.Event(), "ours": asyncio.Event()}
    changed = asyncio.Event()
    theirs, ours, _ = await asyncio.gather(life("theirs"), life("ours"), change())

    for entry in ours[1]:
        # Not the application's business, and nothing that the other has.
        assert not any(name.startswith("LEASEKEEPER_") for name in entry.get("environ", ()))
    for entry in theirs[1]:
        entry.get("environ", {}).pop("LEASEKEEPER_WEB__LISTEN", None)
    assert ours == theirs
    code, entries = ours
    assert code == 0
    assert [entry.get("signal", "start") for entry in entries] == [
        "start", "SIGUSR1", "start", "SIGUSR1",
    ]  # fmt: skip
    assert entries[0]["arguments"] == ["SIGUSR1", "x y"]
    first, second = entries[0]["environ"], entries[2]["environ"]
    assert {**first, "APP_USER": "web2"} == second
    assert (first["APP_USER"], first["app.empty-one"], first["GREETING"]) == ("web", "", "7")
    assert first["APP_NOTHING"] == "[<no value>]"


@pytest.mark.parametrize(
    ("script", "flags", "code"),
    [("exit 7", [], 7), ("exit 0", [], 0), ("touch ran; exit 7", ["-exit-after-auth"], 0)],
)
async def test_the_exit_code_is_the_same_as_under_vault_agent(
    world: SharedWorld, tmp_path: Path, script: str, flags: list[str], code: int
) -> None:
    path = await agent_file(
        world, tmp_path, "agent", 'env_template "A" {\n contents = "x"\n}\n',
        f'  command = ["cd {tmp_path}; {script}"]',
    )  # fmt: skip

    async def life(name: str) -> int:
        command, log = [*programs(path)[name], *flags], tmp_path / f"{name}.log"
        async with running(command, environment(tmp_path), log) as process:
            return await asyncio.wait_for(process.wait(), 30)

    assert await asyncio.gather(life("theirs"), life("ours")) == [code, code]
    assert not (tmp_path / "ran").exists()


def native(world: SharedWorld, folder: Path, *, ends_by: str) -> str:
    """Return a configuration with a database login in the environment and a file beside it."""
    script, told = application(folder), folder / "diary"
    path = world.parts.creds_path
    read = "'{{ with secret \"" + path + "\" }}{{ .Data.%s }}{{ end }}'"
    return f"""
auth: {{method: aws_iam, role: {world.parts.settings.role}}}
exec:
  command: ["{sys.executable}", "-I", "{script}", "{told}", "{ends_by}"]
  env:
    - {{name: DB_USER, template: {read % "username"}}}
    - {{name: DB_PASSWORD, template: {read % "password"}}}
  restart_delay: 100ms
outputs:
  - destination: {folder}/file
    template: '{{{{ with secret "secret/exec/native" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
    notify: {{exec: SIGHUP}}
secrets: {{static_secret_render_interval: 1s}}
probe: {{interval: 1s}}
log: {{level: debug, format: json}}
"""


@contextlib.asynccontextmanager
async def supervised(
    world: SharedWorld, folder: Path, *, ends_by: str
) -> AsyncIterator[Leasekeeper]:
    """Run Leasekeeper with the application as its child; afterwards there is neither."""
    env = {**world.parts.environment(), "VAULT_ADDR": world.parts.address}
    async with Leasekeeper(env=env, config=native(world, folder, ends_by=ends_by)) as program:
        try:
            yield program
        finally:
            # A child that survived a failing test would hold the log's pipe open for ever.
            for entry in diary(folder / "diary"):
                if "pid" in entry and alive(entry["pid"]):
                    os.kill(entry["pid"], signal.SIGKILL)


async def test_files_and_environment_are_there_when_it_starts_and_nothing_leaks(
    world: SharedWorld, tmp_path: Path
) -> None:
    admin, told = world.parts.admin, tmp_path / "diary"
    await world.run(admin.write("secret/data/exec/native", data={"value": "first-canary"}))
    async with supervised(world, tmp_path, ends_by="SIGTERM") as program:
        await until(lambda: len(starts(told)) == 1)
        found = starts(told)[0]
        assert (tmp_path / "file").read_text() == "first-canary"
        started = await program.event("app.started")
        arguments = Path(f"/proc/{started['pid']}/cmdline").read_bytes().decode()
        health = await program.health()
        await world.run(admin.write("secret/data/exec/native", data={"value": "second-canary"}))
        await program.event("app.notified")
        assert await program.metric("leasekeeper_app_up") == 1
        # The lease is revoked behind our back: a new login of the database, a new process.
        await world.run(admin.write(f"sys/leases/revoke-prefix/{world.parts.creds_path}"))
        await until(lambda: len(starts(told)) == 2, within_s=60)
        again = starts(told)[1]
        code, _ = await program.stop()

    assert code == 0
    assert found["DB_USER"] != again["DB_USER"]
    assert health["state"] == "healthy"
    assert health["application"]["pid"] == started["pid"]
    told_of = [entry.get("signal", "start") for entry in diary(told)]
    assert told_of == ["start", "SIGHUP", "SIGTERM", "start", "SIGTERM"]
    assert "second-canary" not in program.text
    for secret in (found["DB_PASSWORD"], again["DB_PASSWORD"]):
        assert secret not in program.text
        assert secret not in arguments


async def test_a_second_signal_ends_both_at_once(world: SharedWorld, tmp_path: Path) -> None:
    await world.run(world.parts.admin.write("secret/data/exec/native", data={"value": "x"}))
    told = tmp_path / "diary"
    async with supervised(world, tmp_path, ends_by="") as program:  # it ends by no signal
        await until(lambda: len(starts(told)) == 1)
        pid = diary(told)[0]["pid"]
        program.process.send_signal(signal.SIGTERM)
        await until(lambda: "SIGTERM" in [entry.get("signal") for entry in diary(told)])
        # Until it has ended, its credentials are kept alive, and health says what goes on.
        assert (await program.health())["reasons"] == ["application: stopping"]
        code, _ = await program.stop()
        await until(lambda: not alive(pid))

    assert code == 128 + signal.SIGTERM


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def test_an_application_that_is_killed_gives_its_exit_code(
    world: SharedWorld, tmp_path: Path
) -> None:
    told = tmp_path / "diary"
    await world.run(world.parts.admin.write("secret/data/exec/native", data={"value": "x"}))
    async with supervised(world, tmp_path, ends_by="SIGTERM") as program:
        await until(lambda: len(starts(told)) == 1)
        os.kill(diary(told)[0]["pid"], signal.SIGKILL)
        code = await program.ended()
        exited = await program.event("app.exited")

    assert code == 137
    assert exited["signal"] == "SIGKILL"
    assert program.events("agent.stopped") != []


async def test_a_program_that_is_not_there_is_told_before_any_login(
    world: SharedWorld, tmp_path: Path
) -> None:
    config = native(world, tmp_path, ends_by="").replace(f'"{sys.executable}"', '"/nowhere/app"')
    env = {**world.parts.environment(), "VAULT_ADDR": world.parts.address}
    async with Leasekeeper(env=env, config=config) as program:
        code = await program.ended()

    assert code == 2
    assert "exec.command: there is no program '/nowhere/app'" in program.said
    assert program.events("token.login_succeeded") == []


ORPHANAGE = """
import os, sys, time

if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.1)
    os._exit(0)
os.wait()

def orphans():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and parent == "1":
            yield name

while not list(orphans()):
    time.sleep(0.01)
while list(orphans()):
    time.sleep(0.01)
sys.exit(42 if os.getppid() == 1 else 1)
"""
ALONE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


async def test_as_process_1_it_collects_orphans(world: SharedWorld, tmp_path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        probe = await asyncio.create_subprocess_exec(*ALONE, "true", stderr=asyncio.subprocess.PIPE)
        await probe.communicate()
        if probe.returncode == 0:
            script = tmp_path / "orphanage.py"
            script.write_text(ORPHANAGE)
            path = await agent_file(
                world, tmp_path, "agent", 'env_template "A" {\n contents = "x"\n}\n',
                f'  command = ["{sys.executable}", "-I", "{script}"]',
            )  # fmt: skip
            command, log = [*ALONE, *programs(path)["ours"]], tmp_path / "log"
            async with running(command, environment(tmp_path), log) as process:
                assert await asyncio.wait_for(process.wait(), 40) == 42, log.read_text()
            return
    pytest.skip("this user may not make a process namespace")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
async def test_an_application_behind_setpriv_ends_when_leasekeeper_is_killed(
    tmp_path: Path,
) -> None:
    """As docs/exec.md says; otherwise it would go on with credentials that nobody keeps alive."""
    seen = tmp_path / "diary"
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, str(application(tmp_path))]
    config = (
        "vault: {address: 'http://127.0.0.1:1'}\n"
        "auth: {method: approle, role_id: r, secret_id: s}\n"
        f"exec: {{command: {json.dumps([*command, str(seen), 'SIGTERM'])}}}\n"
    )
    async with Leasekeeper(config=config) as program:
        await until(lambda: bool(starts(seen)))
        (pid,) = (entry["pid"] for entry in diary(seen) if "pid" in entry)
        program.process.kill()
        try:
            await until(lambda: not _runs(pid), within_s=10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert {"signal": "SIGTERM"} in diary(seen)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
