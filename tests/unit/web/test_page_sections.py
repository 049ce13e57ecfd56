"""The parts of the status page as text."""

from __future__ import annotations

from typing import Any

import pytest

from leasekeeper.runtime.clock import now
from leasekeeper.web.document import Status
from leasekeeper.web.page.document import page, policy
from leasekeeper.web.page.markup import moment, text
from leasekeeper.web.page.sections import MOST_ROWS, sections
from leasekeeper.web.page.timeline import Life, line
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV
from tests.unit.web.test_health_report import FakeOutput, Scene

START = "2026-01-01T12:00:00Z"


def at(seconds: int) -> str:
    return f"2026-01-01T12:{seconds // 60:02}:{seconds % 60:02}Z"


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 3600, 60, 86400
    vault.kv2["product"] = {"password": "canary-in-kv"}
    return vault


def test_marks_stand_where_their_times_are() -> None:
    life = Life(issued=START, renewed=[at(25)], next=at(50), rotation=at(75), expires=at(100))
    html = line(life, at(40))

    # 1 % is left free at both ends.
    for kind, percent in {"renewed": 25.5, "next": 50, "rotation": 74.5, "issued": 1}.items():
        assert f'class="{kind}"' in html
        assert f'"{percent:.2f}%"' in html
    assert '<line class="now" x1="40.20%"' in html
    assert '<line class="expiry" x1="99.00%"' in html
    assert "Issued 2026-01-01T12:00:00Z, last renewed 2026-01-01T12:00:25Z" in html


@pytest.mark.parametrize(
    "life",
    [
        Life(issued=START),
        Life(issued=START, expires=START),
        Life(issued=at(60), expires=START, renewed=[START], next=START),
    ],
)
def test_a_life_without_length_is_a_line_as_well(life: Life) -> None:
    assert "nan" not in line(life, at(30))
    assert line(life, at(30)).count("<svg") == line(life, at(30)).count("</svg")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<script>", "&lt;script&gt;"),
        ('" onload="x', "&quot; onload=&quot;x"),
        ("it's", "it&#x27;s"),
        ("caf\udce9", "caf\\udce9"),
        ("a\x00\x1bb\u202e", "a\\x00\\x1bb\\x202e"),
        (None, "None"),
    ],
)
def test_nothing_from_elsewhere_becomes_markup(value: object, shown: str) -> None:
    assert text(value) == shown


def test_a_time_without_a_script_is_still_a_time() -> None:
    assert moment(at(5)) == (
        '<time datetime="2026-01-01T12:00:05Z" data-kind="when" '
        'title="2026-01-01 12:00:05 UTC">12:00:05</time>'
    )
    assert moment(None, never="not yet") == "not yet"


async def test_sections_are_the_same_text_until_something_happens(vault: FakeVault) -> None:
    """So that only news is sent: what runs with the clock is the script's."""
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=5)
        first = scene.report.status()
        later: Status = {**first, "now": None, "outage_budget_seconds": 1.0}

    def still(status: Status) -> dict[str, str]:
        parts = sections(status)
        return {name: parts[name] for name in ("summary", "problems", "outputs", "events")}

    assert still(first) == still(later)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "starting"}, "starting"),
        ({"outage_budget_until": None, "outage_budget_seconds": None}, "no limit"),
        ({"outage_budget_seconds": 0.0}, "used up"),
        ({"vault": None, "shared": {"leading": False, "leader": "b", "term": 2}}, "Standing by"),
    ],
)
async def test_the_budget_is_told_in_every_state(
    vault: FakeVault, change: dict[str, Any], words: str
) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        status: Status = {**scene.report.status(), **change}  # type: ignore[typeddict-item]

    assert words in sections(status)["summary"]
    assert words in page(status)


async def test_of_thousands_the_failing_and_the_soonest_are_shown(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        snapshot = await scene.publish()
        many = [FakeOutput(f"/config/{number}") for number in range(3 * MOST_ROWS)]
        many[250].publish(snapshot)
        scene.outputs.outputs = tuple(many)
        html = sections(scene.report.status())["outputs"]

    assert html.count("<tr>") == MOST_ROWS + 1
    assert '<th scope="row">/config/250</th>' in html
    assert f"and {2 * MOST_ROWS} more" in html
    assert now() > 0


def test_the_policy_names_what_is_in_the_page_and_nothing_else() -> None:
    assert policy().count("sha256-") == 2
    assert "unsafe" not in policy()
    assert "default-src 'none'" in policy()
