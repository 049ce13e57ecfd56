"""What config/monitoring brings, on a real Prometheus that scrapes a real Leasekeeper."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from leasekeeper.devstack.processes import free_port
from tests.program import Leasekeeper
from tests.world import SharedWorld

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
NEEDED = ("prometheus", "promtool", "amtool")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not all(shutil.which(name) for name in NEEDED),
        reason=f"needs {', '.join(NEEDED)}: make check-deploy installs them",
    ),
]


def check(*command: str) -> None:
    """Run a checker, and show what it says when it is not content."""
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_alerts_and_the_examples_are_good_for_promtool_and_amtool() -> None:
    check("promtool", "check", "rules", "prometheus-rules.yml")
    check("promtool", "test", "rules", "prometheus-rules-test.yml")
    check("promtool", "check", "config", "--syntax-only", "prometheus.yml")
    check("amtool", "check-config", "alertmanager.yml")


def test_the_collectors_files_can_be_read() -> None:
    collector = yaml.safe_load((MONITORING / "adot-collector.yaml").read_text())
    assert set(collector["service"]["extensions"]) == set(collector["extensions"])
    agent = json.loads((MONITORING / "cloudwatch-agent.json").read_text())
    processor = agent["logs"]["metrics_collected"]["prometheus"]["emf_processor"]
    documented = (MONITORING.parents[1] / "docs" / "metrics.md").read_text()
    for declaration in processor["metric_declaration"]:
        for selector in declaration["metric_selectors"]:
            assert selector.strip("^$") in documented, selector


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    rules = yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())
    cases = yaml.safe_load((MONITORING / "prometheus-rules-test.yml").read_text())
    fired = {
        case["alertname"]
        for test in cases["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    alerts = {
        rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule
    }
    assert fired == alerts


class Prometheus:
    """A real one that scrapes one target every half second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self.folder = folder
        self.config = folder / "prometheus.yml"
        shutil.copy(MONITORING / "prometheus-rules.yml", folder)
        self.config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
                    "rule_files": ["prometheus-rules.yml"],
                    "scrape_configs": [
                        {
                            "job_name": "leasekeeper",
                            "scrape_timeout": "500ms",
                            "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                        }
                    ],
                }
            )
        )

    async def start(self) -> asyncio.subprocess.Process:
        """Start it; the caller ends it."""
        return await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an API answer, None while nobody listens."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, params=parameters) as answer,
            ):
                told = await answer.json()
        except aiohttp.ClientConnectionError:
            return None
        assert told["status"] == "success", told
        return told["data"]

    async def values(self, query: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        data = await self.ask("query", query=query)
        found: list[dict[str, Any]] = data["result"] if data else []
        return found

    async def until_some(self, query: str) -> list[dict[str, Any]]:
        """Wait until *query* has an answer."""
        async with asyncio.timeout(40):
            while not (found := await self.values(query)):
                await asyncio.sleep(0.2)
        return found


@pytest_asyncio.fixture
async def scraped(
    world: SharedWorld, tmp_path: Path
) -> AsyncIterator[tuple[Prometheus, Leasekeeper]]:
    """A Leasekeeper whose notifications fail, and a Prometheus that scrapes it."""
    creds = world.parts.creds_path
    template = f'{{{{ with secret "{creds}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
    notify = {"http": {"url": f"http://127.0.0.1:{free_port()}/reload"}, "retries": 0}
    outputs = [{"destination": str(tmp_path / "out"), "template": template, "notify": notify}]
    auth = {"method": "aws_iam", "role": world.parts.settings.role}
    config = json.dumps({"auth": auth, "outputs": outputs})
    async with Leasekeeper("run", env=world.parts.environment(), config=config) as program:
        await program.event("agent.ready")
        prometheus = Prometheus(tmp_path, program.port)
        process = await prometheus.start()
        try:
            await prometheus.until_some('up{job="leasekeeper"} == 1')
            yield prometheus, program
        finally:
            process.kill()
            await process.wait()


def queries() -> list[str]:
    """Return every query of the dashboard, with its variables set to everything."""
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [re.sub(r"\$(job|instance)\b", ".*", text) for text in texts]


async def test_every_query_of_the_dashboard_and_every_rule_works_on_real_metrics(
    scraped: tuple[Prometheus, Leasekeeper],
) -> None:
    prometheus, program = scraped
    assert len(queries()) > 10
    for query in queries():
        if (
            "clock_offset" in query
            and await program.metric("leasekeeper_clock_offset_seconds") == 0
        ):
            continue
        assert await prometheus.until_some(query), query
    await prometheus.until_some("leasekeeper:secret_life_seconds:max1d")
    data = await prometheus.ask("rules")
    rules = [rule for group in data["groups"] for rule in group["rules"]]
    assert {(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"} == set()
    # A sidecar that has gone is noticed.
    await program.stop()
    await prometheus.until_some('ALERTS{alertname="LeasekeeperDown", alertstate="pending"}')
