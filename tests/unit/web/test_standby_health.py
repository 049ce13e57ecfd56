"""What a task that stands by says of its health, by the manifest of the one that leads."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.files.election import Election, Manifest
from leasekeeper.web.report import Health
from leasekeeper.web.standby import SharedView, Standby


def standby(tmp_path: Path, report: dict[str, Any] | None, **more: Any) -> Standby:
    election = Election(str(tmp_path), "me", takeover_after_s=30)
    if report is not None:
        election.manifest = Manifest(term=3, leader="other", beat=1, report=report)
    return Standby(election=election, expiry_grace_s=5, silent_after_s=30, **more)


def report(valid_s: float | None = 60.0, *reasons: str) -> dict[str, Any]:
    end = None if valid_s is None else time.time() + valid_s
    outputs = {"a": {"generation": 1, "digest": "x", "valid_until": end}}
    return {"settled": True, "state": "healthy", "reasons": list(reasons), "outputs": outputs}


@pytest.mark.parametrize(
    ("say", "more", "health"),
    [
        (lambda: None, {}, Health.STARTING),
        (dict, {}, Health.STARTING),
        (lambda: {**report(), "settled": False}, {}, Health.STARTING),
        (report, {"missing": ("/config/a",)}, Health.STARTING),
        (report, {}, Health.HEALTHY),
        (lambda: report(None), {}, Health.HEALTHY),
        (lambda: report(-1), {}, Health.HEALTHY),
        (lambda: report(-6), {}, Health.UNHEALTHY),
        (lambda: report(60, "Vault cannot be reached"), {}, Health.DEGRADED),
        (report, {"trouble": "the volume does not answer"}, Health.DEGRADED),
    ],
)
def test_health_follows_the_manifest_and_what_we_see_ourselves(
    tmp_path: Path, say: Callable[[], dict[str, Any] | None], more: dict[str, Any], health: Health
) -> None:
    said = say()  # now: what a manifest says of time is old by the time that other tests have ended
    view = standby(tmp_path, said, **more)

    assert view.health() is health
    assert all(reason in str(view.reasons()) for reason in (said or {}).get("reasons", ()))


def test_a_leader_that_is_silent_degrades_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = standby(tmp_path, report())
    later = time.monotonic() + 31
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert view.health() is Health.DEGRADED
    assert "no leader has been heard of for 31 s" in view.reasons()


@pytest.mark.parametrize(
    "said",
    [
        {"settled": "yes", "outputs": 3, "reasons": 4},
        {"settled": True, "outputs": {"a": None}, "reasons": [1]},
        {"settled": True, "outputs": {"a": {"valid_until": "soon"}}},
    ],
)
def test_a_strange_manifest_is_no_reason_to_crash(tmp_path: Path, said: dict[str, Any]) -> None:
    told = SharedView(standby(tmp_path, said)).health_json()

    assert told["expired"] == []
    assert told["shared"] == {"leading": False, "leader": "other", "term": 3}
