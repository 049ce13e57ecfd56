"""SIGKILL while files are being written."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan, Program

KILLS = 30
VALUE_BYTES = 400_000
COPIES = 6
KILLER = Path(__file__).parents[1] / "killer.py"
KILL_DEADLINE_S = 10.0


@scenario(
    "killed-while-writing",
    event="SIGKILL in the middle of a write, 30 times",
    goal="no temporary file left once restarted, the file always whole",
    lasts_s=90,
    heavy=True,
)
async def killed_while_writing(stage: Stage) -> Finding:
    """The program is killed the moment a new name appears beside the destination."""
    folder = stage.directory / "out"
    folder.mkdir()
    path = folder / "large"
    secret = f'secret "secret/data/{stage.lane.name}/large"'
    text = f"{{{{ with {secret} }}}}{'{{ .Data.data.value }}' * COPIES}\nend{{{{ end }}}}\n"
    plan = Plan(files={path: text})
    program = stage.program = Program(stage.subject, stage.lane, stage.directory, plan)
    caught, torn = 0, 0
    for number in range(KILLS):
        letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
        await stage.lane.write_kv("large", value=letter * VALUE_BYTES)
        caught += await _kill_in_the_middle(program, folder)
        torn += path.exists() and not _is_whole(path)
    await stage.start(plan, application=False)
    await stage.settled(5)
    left = sum(found != path for found in folder.iterdir())
    torn += not _is_whole(path)
    return Finding(
        said=f"{left} temporary file{'s' * (left != 1)} with the secret left, "
        f"{torn or 'no'} torn file{'s' * (torn != 1)}",
        good=left == 0 and torn == 0 and caught > KILLS / 2,
        figures={"left": left, "torn": torn, "killed_while_writing": caught, "kills": KILLS},
    )


def _is_whole(path: Path) -> bool:
    content = path.read_text(encoding="utf-8")
    body = content.removesuffix("\nend\n")
    return len(body) == VALUE_BYTES * COPIES and body == body[0] * len(body)


async def _kill_in_the_middle(program: Program, folder: Path) -> bool:
    """Start the program and kill it as soon as a temporary file appears; whether one did."""
    child = await program.start()
    killer = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", KILLER, str(folder), str(child.pid), str(KILL_DEADLINE_S)
    )
    caught = await killer.wait() == 0
    await program.kill()
    return caught
