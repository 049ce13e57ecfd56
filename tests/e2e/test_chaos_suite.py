"""The chaos suite itself: short scenarios come to an end, and judge as they should."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.application import Application, Span
from tests.chaos.report import markdown, put, table
from tests.chaos.soak import ALLOWED, Sample, flatness

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


async def play(*arguments: str) -> tuple[int, str]:
    """Run the suite's command line; return its exit code and what it has printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.chaos", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_short_scenarios_are_played_for_both_programs_and_written_down(
    tmp_path: Path,
) -> None:
    file = tmp_path / "results.json"
    only = [f"--only={name}" for name in ("leases-revoked", "renewal-forbidden")]
    code, said = await play("--quick=0.1", "--seed=7", f"--json={file}", *only)
    told = json.loads(file.read_text(encoding="utf-8"))
    found = {(one["scenario"], one["subject"]): one["finding"] for one in told["results"]}
    ours, theirs = (found["renewal-forbidden", name] for name in ("leasekeeper", "bao-agent"))

    assert code == 0, said
    assert said.startswith("seed 7\n")
    assert len(found) == 4
    assert ours["good"]
    assert ours["figures"]["mints"] <= 1
    assert not theirs["good"]
    assert theirs["figures"]["mints"] > 1
    assert found["leases-revoked", "leasekeeper"]["good"]
    assert "renewals of the lease are answered 403" in markdown(told)


async def test_an_unknown_scenario_is_an_error_and_starts_nothing() -> None:
    code, said = await play("--only", "nonsense")

    assert code == 2
    assert "nonsense" in said


def test_a_time_without_a_login_lasts_from_the_first_refusal_to_the_next_success(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    tries = [[1.0, "a", "ok"], [1.1, "a", "refused"], [1.2, "a", "refused"], [1.5, "b", "ok"]]
    log.write_text("".join(json.dumps(one) + "\n" for one in tries) + "[2.0, ")
    application = Application(log)

    assert application.gaps() == [Span(1.1, 1.5, ("a",))]
    assert application.count("refused") == 2
    assert application.good_after(1.1, but="a") == application.tries[-1]


def samples(memory: list[float]) -> list[Sample]:
    return [Sample(float(at), value, 10, 4, 12) for at, value in enumerate(memory)]


def test_memory_that_grows_is_found_and_memory_that_does_not_is_not() -> None:
    flat = dict(flatness(samples([50.0] * 90)))
    grown = dict(flatness(samples([50 + number / 10 for number in range(90)])))

    assert list(flat) == list(ALLOWED)
    assert all(row["good"] for row in flat.values())
    assert [name for name, row in grown.items() if not row["good"]] == ["memory (RSS, MiB)"]


def result(**finding: Any) -> dict[str, Any]:
    return {
        "scenario": "x",
        "event": "it breaks",
        "goal": "it heals",
        "subject": "leasekeeper",
        "finding": {"good": True, "said": "healed", **finding},
    }


def test_a_missed_goal_is_told_in_the_tables() -> None:
    assert "goal missed" in table([result(good=False)], ["leasekeeper", "bao-agent"])
    assert "goal missed" not in table([result()], ["leasekeeper", "bao-agent"])


def test_a_page_keeps_what_is_around_its_table() -> None:
    page = "before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n"

    assert put(page, "x", "new") == "before\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nafter\n"
    with pytest.raises(ValueError, match="no place"):
        put(page, "y", "new")


def test_the_page_about_reliability_has_a_place_for_both_tables() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")

    assert put(put(page, "chaos", "a"), "soak", "b")
