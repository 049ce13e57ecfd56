"""Write docs/troubleshooting.md: each mistake made on a real world, and what the tool says.

``python -m tests.walks.troubleshooting docs/troubleshooting.md``
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

import aiohttp

from leasekeeper.devstack.world import World
from tests.program import Leasekeeper, inherited
from tests.walks.cases import CASES, SECRET_PATH, Case, Deployment

HEAD = """\
# Troubleshooting

Three commands find almost everything, from inside Leasekeeper's container:

| command | asks |
|---|---|
| `leasekeeper check --online` | from the configuration to the policies; makes nothing in Vault |
| `leasekeeper status` | the running process: what it holds, until when, what is wrong |
| `leasekeeper explain CODE` | what a code means and how to mend it ([all codes](errors.md)) |

On ECS: `aws ecs execute-command --interactive --command "leasekeeper check --online" ...`, where
the root file system [can be written to](ecs.md#ecs-exec). A task that does not start tells the
same code in its last log line, `agent.failed`.

Below, each mistake was made on real OpenBao, PostgreSQL and STS, and this is what was printed.
`make troubleshooting` makes them again; only addresses, ids and paths are replaced.
"""


async def run(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    """Run a command in *deployment*; return its exit code and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        *deployment.wrapper,
        sys.executable,
        "-m",
        "leasekeeper",
        *arguments,
        env={**inherited(), **deployment.world.environment(), **deployment.env},
        cwd=deployment.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def play(world: World, case: Case, folder: Path) -> tuple[int, str, str]:
    """Make the mistake; return exit code and output of ``check --online``, and the file."""
    deployment = Deployment(world=world, folder=folder, env={})
    async with case.setup(deployment):
        (folder / "leasekeeper.yaml").write_text(deployment.text, encoding="utf-8")
        arguments = ("check", "--online", "--config", "leasekeeper.yaml")
        code, said = await run(deployment, *arguments)
        setting = "".join(f"# {name}={value}\n" for name, value in deployment.env.items())
        written = normalised(setting + deployment.text, deployment)
        return code, normalised(said, deployment), written


def normalised(text: str, deployment: Deployment) -> str:
    """Return *text* without what differs from run to run, or from machine to machine."""
    world = deployment.world
    names = {
        f"{deployment.folder}/config": "/config",
        f"{deployment.folder}/certificates": "/etc/ssl",
        str(deployment.folder): "",
        world.address: "http://vault.example.com:8200",
        world.sts.url.removeprefix("http://"): "sts.us-east-1.amazonaws.com",
    }
    for real, shown in names.items():
        text = text.replace(real, shown)
    text = re.sub(r"https?://127\.0\.0\.1:\d+", "https://vault.example.com:8200", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "vault.example.com:8200", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]+(\+00:00|Z)", "2026-01-31 12:00:00Z", text)
    text = re.sub(r"uid \d+", "uid 10001", text)
    text = re.sub(r"OUTPUT +STATE", "OUTPUT            STATE", text)  # as wide as /config/app.conf
    text = re.sub(r"assumed-role/([\w-]+)/\w+", r"assumed-role/\1/TASK", text)
    return re.sub(r"agrees with Vault's to \d+ s", "agrees with Vault's to 1 s", text)


async def section(world: World, case: Case) -> str:
    """Return the part of the page about *case*."""
    with tempfile.TemporaryDirectory() as folder:
        code, said, text = await play(world, case, Path(folder))
        assert code == case.exit_code, said
        assert case.code in said, said
        nothing = Deployment(world=world, folder=Path(folder), env={})
        _, explained = await run(nothing, "explain", case.code)
    return (
        f"## {case.title}\n\n{case.story}\n\n```yaml\n{text}```\n\n"
        f"```\n$ leasekeeper check --online --config leasekeeper.yaml\n{said}\n"
        f"$ leasekeeper explain {case.code}\n{explained}```\n\n"
        f"Exit code {code}. {case.mended}\n"
    )


async def good(world: World) -> str:
    """Return the part of the page about a deployment without a mistake."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(world=world, folder=Path(folder), env={})
        env = {**world.environment(), "LEASEKEEPER_LOG__LEVEL": "error"}
        async with Leasekeeper(env=env, config=deployment.text) as program:
            await _published(program)
            deployment.env["LEASEKEEPER_WEB__LISTEN"] = f"127.0.0.1:{program.port}"
            shown = []
            for what in (["status"], ["explain", SECRET_PATH]):
                _, said = await run(deployment, *what)
                said = normalised(said, deployment)
                shown.append(f"$ leasekeeper {' '.join(what)}\n{said}")
            await program.stop()
    return "## When all is well\n\n```\n" + "\n".join(shown) + "```\n"


async def _published(program: Leasekeeper) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                if (await program.health())["state"] == "healthy":
                    return
            await asyncio.sleep(0.1)


async def page() -> str:
    """Return the whole page."""
    async with World() as world:
        sections = [await section(world, case) for case in CASES]
        return "\n".join([HEAD, *sections, await good(world)])


def main() -> int:
    """Write the page."""
    text = asyncio.run(page())
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
