"""Every template of the corpus renders, or fails, as in the real agent."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from conformance_runner import Case, difference, load, run

CASES, RECORDINGS = load()
CATEGORIES = list(dict.fromkeys(case["category"] for case in CASES))

_REDACTED = "the value of a secret never shows in an error message, however deep it was"
DIFFERENCES = {
    "fields-049": _REDACTED,
    "range-071": _REDACTED,
    "math-021": _REDACTED,
    "secret_other-011": "the recordings have no answer to it",
}
"""Cases in which Leasekeeper differs, and why."""
WRITTEN_ON_EVERY_PASS = {"write_to_file-014", "write_to_file-017"}
"""A pass that pauses writes nothing, so what these append comes once."""


def _differences(
    cases: list[Case],
    folder: Path,
    patch: pytest.MonkeyPatch,
    *,
    on_unresolved: Literal["nil", "pause"] = "nil",
) -> list[str]:
    found = []
    for case in cases:
        place = folder / case["id"]
        place.mkdir()
        patch.chdir(place)
        outcome = run(case, RECORDINGS, place, on_unresolved=on_unresolved)
        problem = difference(case, outcome)
        if problem:
            found.append(f"{case['id']}: {problem}")
    return found


def _cases_of(category: str) -> list[Case]:
    return [
        case for case in CASES if case["category"] == category and case["id"] not in DIFFERENCES
    ]


@pytest.mark.parametrize("category", CATEGORIES)
def test_templates_behave_as_in_the_agent(
    category: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not _differences(_cases_of(category), tmp_path, monkeypatch)


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_the_agent_renders_also_renders_when_it_pauses(
    category: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leasekeeper's own way to wait for secrets changes no text that the agent's way yields."""
    cases = [
        case
        for case in _cases_of(category)
        if "error" not in case["expect"] and case["id"] not in WRITTEN_ON_EVERY_PASS
    ]

    assert not _differences(cases, tmp_path, monkeypatch, on_unresolved="pause")


def test_every_listed_difference_is_still_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference that has gone is no longer to be excused."""
    cases = [case for case in CASES if case["id"] in DIFFERENCES]

    found = _differences(cases, tmp_path, monkeypatch)

    assert len(found) == len(DIFFERENCES)
