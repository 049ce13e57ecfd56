"""The status page as a browser shows it: readable by everybody, in any width and both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from leasekeeper.errors import TemplateRenderError, VaultUnavailable
from leasekeeper.telemetry.events import recent
from leasekeeper.web.server import WebServer
from tests.browser import Browser, needs_chromium
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV
from tests.unit.web.test_health_report import FakeOutput, Scene

# The least contrast of any text with what is behind it (WCAG 2.2, 1.4.3), with the text itself.
LEAST_CONTRAST = """
(() => {
  const numbers = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (each) => {
    for (; each; each = each.parentElement) {
      const found = numbers(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  let least = [99, ''];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const each = texts.currentNode, parent = each.parentElement;
    if (!each.textContent.trim() || parent.closest('script, style, .skip')) continue;
    const [a, b] = [light(numbers(getComputedStyle(parent).color)), light(ground(parent))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, each.textContent];
  }
  return least;
})()
"""


@pytest.fixture
async def page() -> AsyncIterator[tuple[Browser, str]]:
    """A browser, and the address of a page with something of everything on it."""
    browser = Browser(needs_chromium())
    vault = FakeVault()
    vault.kv2["product"] = {"password": "canary"}
    scene = Scene(vault)
    longest = FakeOutput("/config/" + "a-very-long-name-without-any-blank/" * 4 + "conf.json")
    longest.error = TemplateRenderError("x" * 300, hint="<b>not bold</b> & 'quoted'")
    scene.outputs.outputs = (scene.output, longest)
    at = "2026-01-01T00:00:00Z"
    recent.append({"time": at, "level": "error", "event": "a.b", "x": "y" * 300})
    server = WebServer("127.0.0.1:0", scene.report)
    async with browser, scene.world.running(CREDS, KV):
        await scene.publish()
        await server.start()
        scene.world.client.reachability.doubt(VaultUnavailable("a doubt"))
        yield browser, server.url
        await server.close()


async def test_it_is_accessible_at_any_width_in_both_colours(page: tuple[Browser, str]) -> None:
    browser, url = page
    await browser.look_like(width=1100, height=900)
    await browser.open(f"{url}/")
    await browser.until("document.getElementById('live').textContent === 'live'")

    for dark in (False, True):
        for width in (1600, 1100, 700, 320):
            await browser.look_like(width=width, height=900, dark=dark)
            wide = await browser.ask("document.documentElement.scrollWidth")
            assert wide <= width
        ratio, text = await browser.ask(LEAST_CONTRAST)
        assert ratio >= 4.5, text

    headings = await browser.ask(
        "[...document.querySelectorAll('h1, h2, h3')].map((each) => each.tagName)"
    )
    assert headings.count("H1") == 1
    assert headings[:2] == ["H1", "H2"]
    lacking = {
        "a table without a caption": "table:not(:has(caption))",
        "a picture without words": "svg.line:not([role=img][aria-label]), .spark:not([aria-label])",
        "a head without its direction": "th:not([scope])",
        "a region without a name": "section:not([aria-label]), [role=region]:not([aria-label])",
        "a time that no machine can read": "time:not([datetime])",
    }
    for what, selector in lacking.items():
        assert await browser.ask(f"document.querySelectorAll({selector!r}).length") == 0, what
    assert await browser.ask("document.querySelectorAll('svg.line').length") == 3
    assert await browser.ask("document.documentElement.lang") == "en"
    assert browser.complaints == []


async def test_it_can_be_used_with_the_keyboard(page: tuple[Browser, str]) -> None:
    browser, url = page
    await browser.open(f"{url}/")
    await browser.until("document.getElementById('live').textContent === 'live'")
    reached = []
    for _ in range(7):
        await browser.key("Tab", 9)
        reached.append(
            await browser.ask("document.activeElement.id || document.activeElement.className")
        )

    assert reached[0] == "skip"
    assert "scroll-outputs" in reached


async def test_what_others_write_is_shown_and_never_run(page: tuple[Browser, str]) -> None:
    browser, url = page
    await browser.open(f"{url}/")
    await browser.until("document.getElementById('live').textContent === 'live'")

    assert "<b>not bold</b> & 'quoted'" in await browser.ask("document.body.innerText")
    assert await browser.ask("document.querySelectorAll('b').length") == 0
    await browser.ask("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hit=1>')")
    await browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'hit=1'}))"
    )
    assert await browser.ask("typeof hit") == "undefined"
