"""The demo tells the truth: what it calls proven was seen, and what went wrong is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from leasekeeper.devstack.demo import Demo
from leasekeeper.devstack.observers import Tally
from leasekeeper.devstack.outcome import Outcome

GOOD = Outcome(
    seconds=120,
    rotations=5,
    overlaps_s=(6.0, 9.5),
    token_logins=3,
    logins=Tally(2000),
    requests=Tally(2000),
    checks=Tally(200),
    exit_code=0,
)


def test_rotations_that_nobody_noticed_are_a_proof() -> None:
    lines = list(GOOD.summary())

    assert GOOD.good
    assert lines[-1] == "Proven."
    assert "  rotations        5" in lines
    assert "  left behind      no process, no file" in lines


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (replace(GOOD, rotations=0), "no credential rotated in this time"),
        (replace(GOOD, logins=Tally(9, ["at 3.0 s: refused"])), "there were failures"),
        (replace(GOOD, requests=Tally(9, ["at 3.0 s: status 500"])), "there were failures"),
        (replace(GOOD, checks=Tally(9, ["at 3.0 s: 503"])), "there were failures"),
        (replace(GOOD, refused_logins=1), "there were failures"),
        (replace(GOOD, exit_code=-9), "not everything ended as it should"),
        (replace(GOOD, left_behind=["process 7"]), "not everything ended as it should"),
        (replace(GOOD, trouble="it ended"), "it ended"),
    ],
)
def test_anything_else_is_no_proof(outcome: Outcome, reason: str) -> None:
    assert not outcome.good
    assert list(outcome.summary())[-1] == f"Not proven: {reason}."


async def test_a_program_that_ends_at_once_is_shown_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "leasekeeper"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("raise SystemExit('my last words')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said: list[str] = []

    code = await Demo(30, asyncio.Event(), said.append).run()

    assert code == 1
    assert any("my last words" in line for line in said)
    assert said[-1] == "Not proven: Leasekeeper rendered no file."


async def test_a_demo_that_is_stopped_early_ends_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "leasekeeper"
    package.mkdir()
    (package / "__main__.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stop = asyncio.Event()
    said: list[str] = []

    def show(line: str) -> None:
        said.append(line)
        if "Leasekeeper is running" in line:
            stop.set()

    code = await Demo(60, stop, show).run()

    assert code == 1
    assert "  left behind      no process, no file" in said
    assert said[-1] == "Not proven: no credential rotated in this time."
