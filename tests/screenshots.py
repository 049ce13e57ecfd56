"""``python -m tests.screenshots FOLDER``: pictures of the status page, for the documentation.

Leasekeeper runs in the local world with short lives, so that a picture shows renewals and what
follows; Vault is away in the dark one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from leasekeeper.devstack.faults import Fault
from leasekeeper.devstack.product_setup import DatabaseRules, TokenRules
from leasekeeper.devstack.world import World, WorldSettings
from tests.browser import Browser, find_chromium
from tests.program import Leasekeeper

CONFIG = """\
auth: {{method: aws_iam, role: {role}}}
probe: {{interval: 5s}}
secrets: {{overlap: 5s}}
outputs:
  - destination: {folder}/conf.json
    name: /config/conf.json
    validate: json
    template: |
      {{{{ with secret "{creds}" }}}}{{{{ .Data | toJSON }}}}{{{{ end }}}}
    notify: {{command: {{command: ["true"]}}}}
  - destination: {folder}/app.env
    name: /config/app.env
    secret: secret/data/product
    format: dotenv
  - destination: {folder}/tls.pem
    name: /config/tls.pem
    template: |
      {{{{ with secret "pki/issue/product" "common_name=web.product.internal" "ttl=3m" }}}}
      {{{{ .Data.certificate }}}}{{{{ end }}}}
sinks:
  - path: {folder}/token
"""


def config(world: World, folder: Path) -> str:
    """Return a configuration with two outputs and a token file."""
    return CONFIG.format(role=world.settings.role, folder=folder, creds=world.creds_path)


async def take(folder: Path, program: str) -> None:
    """Write the pictures into *folder*."""
    settings = WorldSettings(
        database=DatabaseRules(ttl_s=40, max_ttl_s=120), tokens=TokenRules(ttl_s=90, max_ttl_s=900)
    )
    with tempfile.TemporaryDirectory(prefix="leasekeeper-pictures-") as name:
        async with (
            World(settings) as world,
            Leasekeeper(env=world.environment(), config=config(world, Path(name))) as leasekeeper,
            Browser(program) as browser,
        ):
            await leasekeeper.event("agent.ready")
            await leasekeeper.event("lease.renewed", count=2, within_s=90)
            await browser.look_like(width=1120, height=1180)
            await browser.open(f"http://127.0.0.1:{leasekeeper.port}/")
            await _shoot(browser, folder / "light.png")
            await browser.look_like(width=390, height=1180)
            await _shoot(browser, folder / "narrow.png")
            world.gateway.faults.add(Fault(kind="drop", times=None))
            await leasekeeper.event("vault.unreachable")
            await browser.look_like(width=1120, height=1180, dark=True)
            await browser.until("document.body.innerText.includes('unreachable')")
            await _shoot(browser, folder / "dark.png")


async def _shoot(browser: Browser, file: Path) -> None:
    await browser.until("document.getElementById('live').textContent === 'live'")
    file.write_bytes(await browser.picture())
    print(file, f"{file.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit("needs Chromium (Debian and Ubuntu: package chromium)")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target, chromium))
