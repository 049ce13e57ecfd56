"""``plugin`` runs programs as Vault Agent does, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.outputs.output import Outcome
from leasekeeper.outputs.programs import Programs, run_program
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.settings.groups import GroupSection
from leasekeeper.settings.model import LifecycleSection, OutputSection
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import VaultResponse

ENVIRON = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (("echo", "a  b", "$HOME"), "a  b $HOME\n"),
        (("sh", "-c", "echo out; echo err >&2"), "out\n"),
        (("cat",), ""),
        (("printf", r"\377x"), "\udcffx"),
    ],
)
async def test_a_program_says_what_it_prints(argv: tuple[str, ...], printed: str) -> None:
    assert await run_program(argv, ENVIRON) == printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("sh", "-c", "echo s3cr3t; echo s3cr3t >&2; exit 3"), 'exec "sh": exit status 3'),
        (("sh", "-c", "kill -9 $$"), 'exec "sh": signal: killed'),
        (("/no/x",), 'exec "/no/x": fork/exec /no/x: no such file or directory'),
        (("nosuch",), 'exec "nosuch": exec: "nosuch": executable file not found in $PATH'),
        (("/tmp",), 'exec "/tmp": fork/exec /tmp: permission denied'),
        (("echo", "\0"), 'exec "echo": fork/exec echo: invalid argument'),
    ],
)
async def test_a_program_that_fails_is_the_agents_error(
    argv: tuple[str, ...], message: str
) -> None:
    with pytest.raises(GoError) as caught:
        await run_program(argv, ENVIRON)

    assert str(caught.value) == message


async def test_a_program_has_30_seconds_and_its_children_end_with_it(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"

    with pytest.raises(GoError, match=r'exec "sh": did not finish in 0.5s'):
        await run_program(("sh", "-c", script), ENVIRON, timeout_s=0.5)

    await _gone(int((tmp_path / "child").read_text()))


async def _gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while _runs(pid):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_program_that_never_stops_printing_is_ended() -> None:
    with pytest.raises(GoError, match="prints more than 64 MiB"):
        await run_program(("yes",), ENVIRON)


async def test_a_program_knows_nothing_of_our_credentials() -> None:
    async with Programs(
        {**ENVIRON, "VAULT_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "k", "APP": "x"}
    ) as own:
        printed = await asyncio.to_thread(own.run, ("env",))

    assert "APP=x" in printed
    assert "VAULT_TOKEN" not in printed
    assert "AWS_SECRET_ACCESS_KEY" not in printed


async def test_a_stop_ends_the_program_that_runs(tmp_path: Path) -> None:
    started = tmp_path / "started"
    async with Programs(ENVIRON) as programs:
        script = f"echo $$ > {started}.new; mv {started}.new {started}; sleep 60"
        waiting = asyncio.get_running_loop().run_in_executor(
            None, programs.run, ("sh", "-c", script)
        )
        async with asyncio.timeout(10):
            while not started.exists():
                await asyncio.sleep(0.01)

    with pytest.raises(GoError, match="Leasekeeper is stopping"):
        await waiting
    await _gone(int(started.read_text()))
    with pytest.raises(GoError, match="Leasekeeper is stopping"):
        await asyncio.to_thread(programs.run, ("true",))


# --- in the loop of all outputs -------------------------------------------------------------------


class Store:
    """One secret, whose value counts how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def snapshot(self, request: SecretRequest) -> Snapshot | None:
        self.asked += 1
        return Snapshot(
            request=request,
            kind=SecretKind.STATIC,
            response=VaultResponse(data={"number": self.asked}),
            generation=1,
            issued_at=0,
        )

    def require(self, requests: Iterable[SecretRequest]) -> None:
        return None

    def subscribe(self, callback: Callable[[SecretRequest], None]) -> None:
        return None


@asynccontextmanager
async def running(texts: dict[Path, str], *, link: Path | None = None) -> AsyncIterator[OutputLoop]:
    loop = OutputLoop(
        LifecycleSection(),
        [
            (
                OutputSection.model_validate({"destination": str(path), "template": text}),
                Template.compile(text, name="", functions=library(), on_unresolved="nil"),
            )
            for path, text in texts.items()
        ],
        Store(),
        rng=Random(1),
        environ=ENVIRON,
        groups=[GroupSection.model_validate({"link": str(link)})] if link else [],
    )
    task = asyncio.get_running_loop().create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.wait([task])
        await loop.close(deadline_s=0.2)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_render_that_waits_for_a_program_keeps_nobody(tmp_path: Path) -> None:
    slow, quick, gate = tmp_path / "slow", tmp_path / "quick", tmp_path / "gate"
    os.mkfifo(gate)
    text = f'{{{{ plugin "cat" "{gate}" }}}}'

    async with running({slow: text, quick: "quick"}) as loop:
        await _until(quick.exists)
        assert loop.outputs[0].outcome is Outcome.WAITING

        await asyncio.to_thread(gate.write_text, "said")
        await _until(slow.exists)

    assert slow.read_text() == "said"


async def test_a_program_that_fails_fails_its_output_alone(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"

    async with running({bad: '{{ plugin "false" }}', good: "good"}) as loop:
        await _until(lambda: loop.outputs[0].outcome is Outcome.FAILED)
        await _until(good.exists)
        assert loop.outputs[0].error is not None
        assert loop.outputs[0].error.message == (
            'template: :1:3: executing "" at <plugin "false">: error calling plugin: exec "false":'
            " exit status 1"
        )

    assert not bad.exists()


async def test_what_waits_for_programs_is_made_from_one_snapshot(tmp_path: Path) -> None:
    """Also in a group, where several files are, and while the secret changes."""
    link = tmp_path / "link"
    text = '{{ with secret "kv/a" }}{{ .Data.number }}{{ end }}'
    texts = {link / name: f'{text} {{{{ plugin "true" }}}}{text}' for name in "ab"}

    async with running(texts, link=link):
        await _until(lambda: (link / "b").exists())
        first, second = (link / "a").read_text(), (link / "b").read_text()

    assert first == second
    assert len(set(first.split())) == 1


async def test_a_stop_does_not_wait_for_a_program(tmp_path: Path) -> None:
    started, never = tmp_path / "started", tmp_path / "never"
    script = f"echo $$ > {started}.new; mv {started}.new {started}; sleep 60"

    async with running({never: f'{{{{ plugin "sh" "-c" "{script}" }}}}'}):
        await _until(started.exists)

    await _gone(int(started.read_text()))
    assert not never.exists()
