"""The status page in a real browser, through a rotation, an outage and a recovery."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leasekeeper.devstack.faults import Fault
from leasekeeper.devstack.product_setup import DatabaseRules
from leasekeeper.devstack.world import World, WorldSettings
from tests.browser import Browser, needs_chromium
from tests.e2e.test_promises import config
from tests.program import Leasekeeper

pytestmark = pytest.mark.e2e

LIVE = "document.getElementById('live').textContent === 'live'"


def shows(section: str, text: str) -> str:
    """Return the expression that is true when *section* shows *text*."""
    return f"document.getElementById({section!r}).innerText.includes({text!r})"


async def test_the_page_follows_a_rotation_an_outage_and_a_recovery(tmp_path: Path) -> None:
    conf = tmp_path / "conf.json"
    settings = WorldSettings(database=DatabaseRules(ttl_s=8, max_ttl_s=14))
    async with (
        Browser(needs_chromium()) as browser,
        World(settings) as world,
        Leasekeeper(env=world.environment(), config=config(world, conf)) as program,
    ):
        await program.event("agent.ready")
        await browser.look_like(width=1100, height=900)
        await browser.open(f"http://127.0.0.1:{program.port}/")
        await browser.until(LIVE)
        await browser.ask("window.never_loaded_again = true")
        await browser.until(shows("summary", "healthy"))
        await browser.until(r"/^\d+ s$/.test(document.querySelector('.budget').innerText)")
        await browser.until(shows("secrets", "generation 1"))
        first = conf.read_text(encoding="utf-8")

        await browser.until("document.querySelectorAll('#secrets .line .renewed').length > 0")
        await browser.until(shows("secrets", "generation 2"))
        await browser.until(shows("events", "secret.rotated"))
        second = conf.read_text(encoding="utf-8")

        outage = world.gateway.faults.add(Fault(kind="drop", times=None))
        await browser.until(shows("summary", "unreachable"))
        await browser.until(shows("summary", "Vault is away"))
        await browser.until(shows("problems", "Vault cannot be reached"))
        await browser.until("document.title.startsWith('degraded')")

        world.gateway.faults.remove(outage)
        await browser.until(shows("summary", "reachable"))
        await browser.until("document.title.startsWith('healthy')")
        await browser.until("!document.getElementById('problems').innerText")
        html = await browser.ask("document.documentElement.outerHTML")
        assert await browser.ask("window.never_loaded_again") is True
        complaints = list(browser.complaints)

        await program.stop()
        await browser.until("document.getElementById('live').className.includes('lost')")

    assert first != second
    assert complaints == []
    for content in (first, second):
        dsn = json.loads(content)["db_connection"]
        user, password = (dsn.partition(f"{key}=")[2].partition(" ")[0] for key in ("user", "word"))
        assert user
        assert user not in html
        assert password not in html
