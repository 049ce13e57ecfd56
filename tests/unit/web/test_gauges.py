"""The metrics that are read off the state: names, values and labels."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from leasekeeper.errors import TemplateRenderError
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.web.exposition import CountedCollector
from leasekeeper.web.gauges import StateCollector
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV
from tests.unit.web.test_health_report import FakeOutput, Scene

BASE_UNITS = ("seconds", "bytes", "ratio", "total", "info")
OTHER_UNITS = re.compile(
    r"(milli|micro|nano)?(seconds?|ms|minutes?|hours?|days?|percent|[kmg]i?b)$"
)


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 3600, 60, 86400
    vault.kv2["product"] = {"password": "canary-in-kv"}
    return vault


class Scrape:
    """What a scrape sees of a scene."""

    def __init__(self, scene: Scene) -> None:
        registry = CollectorRegistry()
        registry.register(CountedCollector())
        registry.register(StateCollector(scene.report))
        self.text = generate_latest(registry).decode()
        self.families = list(text_string_to_metric_families(self.text))

    def value(self, name: str, **labels: str) -> float:
        (found,) = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == f"leasekeeper_{name}" and sample.labels == labels
        ]
        return float(found)

    def names(self) -> set[str]:
        return {sample.name for family in self.families for sample in family.samples}


def faults(families: Iterable[Metric]) -> list[str]:
    """Return what breaks the conventions of Prometheus (as `promtool check metrics` has them)."""
    found = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if not re.fullmatch(r"leasekeeper(_[a-z0-9]+)+", name):
            found.append(f"{name}: not in snake case below our prefix")
        if not family.documentation.strip().endswith("."):
            found.append(f"{name}: no sentence of help")
        if (family.type == "counter") != name.endswith("_total"):
            found.append(f"{name}: _total is for counters, and for all of them")
        if family.type == "unknown":
            found.append(f"{name}: no type")
        unit = name.removesuffix("_total").rpartition("_")[2]
        if unit not in BASE_UNITS and OTHER_UNITS.fullmatch(unit):
            found.append(f"{name}: {unit} is no base unit")
        seen = set()
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in seen:
                found.append(f"{name}: twice with {sample.labels}")
            seen.add(key)
            if any(label in ("job", "instance") or ":" in label for label in sample.labels):
                found.append(f"{name}: a label that belongs to Prometheus")
    return found


async def test_every_metric_follows_the_conventions(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        scrape = Scrape(scene)

    assert faults(scrape.families) == []
    assert not [name for name in scrape.names() if name.endswith("_created")]
    assert "canary" not in scrape.text


def test_the_conventions_are_really_checked() -> None:
    text = (
        "# TYPE leasekeeper_x_total counter\nleasekeeper_x_total 1\n"
        "# HELP leasekeeper_delay_ms A sentence.\n# TYPE leasekeeper_delay_ms gauge\n"
        "leasekeeper_delay_ms 1\nleasekeeper_delay_ms 2\n"
        "# HELP other_thing A sentence.\n# TYPE other_thing gauge\nother_thing 1\n"
    )

    assert len(faults(text_string_to_metric_families(text))) == 4


async def test_a_well_process_is_told_in_numbers(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=5)
        await asyncio.sleep(10)
        scrape = Scrape(scene)

    output, creds = {"output": "/config/app.json"}, {"secret": "database/creds/product"}
    assert scrape.value("health_state", state="healthy") == 1
    assert scrape.value("health_state", state="degraded") == 0
    assert scrape.value("vault_up") == 1
    assert scrape.value("token_ttl_seconds") == pytest.approx(3590, abs=1)
    assert scrape.value("outage_budget_seconds") == pytest.approx(50, abs=1)
    assert scrape.value("output_up", **output) == 1
    assert scrape.value("output_generation", **output) == 1
    assert scrape.value("output_valid_seconds", **output) == pytest.approx(50, abs=1)
    assert scrape.value("secret_up", **creds) == 1
    assert scrape.value("secret_generation", **creds) == 1
    assert scrape.value("secret_valid_seconds", **creds) == pytest.approx(50, abs=1)
    assert scrape.value("secret_valid_seconds", secret="secret/product") == math.inf
    assert scrape.value("secret_kind", secret="secret/product", kind="static") == 1


async def test_before_the_first_login_nothing_is_claimed(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.world.store.require([CREDS])
    scrape = Scrape(scene)

    assert scrape.value("health_state", state="starting") == 1
    assert scrape.value("token_ttl_seconds") == 0
    assert scrape.value("output_up", output="/config/app.json") == 0
    assert scrape.value("secret_up", secret="database/creds/product") == 0
    assert scrape.value("secret_generation", secret="database/creds/product") == 0
    assert "leasekeeper_output_published_timestamp_seconds" not in scrape.names()
    assert "leasekeeper_secret_valid_seconds" not in scrape.names()
    assert "leasekeeper_clock_offset_seconds" not in scrape.names()


async def test_what_has_ended_counts_down_to_zero_and_no_further(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        snapshot = await scene.publish()
        vault.down = True
        await asyncio.sleep(snapshot.lifetime.expires_at - now() + 100)
        scrape = Scrape(scene)

    assert scrape.value("health_state", state="unhealthy") == 1
    assert scrape.value("vault_up") == 0
    assert scrape.value("outage_budget_seconds") == 0
    assert scrape.value("output_valid_seconds", output="/config/app.json") == 0
    assert scrape.value("output_up", output="/config/app.json") == 0


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.WAITING])
async def test_an_output_that_is_behind_is_not_up(vault: FakeVault, outcome: Outcome) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        scene.output.outcome, scene.output.error = outcome, TemplateRenderError("no such key")

        assert Scrape(scene).value("output_up", output="/config/app.json") == 0


async def test_the_clock_of_vault_is_compared(vault: FakeVault) -> None:
    scene = Scene(vault)
    vault.clock_offset_s = -3.5

    assert Scrape(scene).value("clock_offset_seconds") == -3.5


async def test_labels_may_hold_anything(vault: FakeVault) -> None:
    """Names come from templates and file names; one odd name must not end all metrics."""
    scene = Scene(vault)
    names = ['quote"d', "back\\slash", "new\nline", "snow☃man", 'a="b",c="d"', "{}"]
    scene.outputs.outputs = tuple(FakeOutput(name) for name in names)
    scene.world.store.require([SecretRequest.read(f"kv/{name}") for name in names])
    scene.world.store.require([SecretRequest.read("kv/not-utf-8-\udcff")])
    scrape = Scrape(scene)

    for name in names:
        assert scrape.value("output_up", output=name) == 0
        assert scrape.value("secret_up", secret=f"kv/{name}") == 0
    assert scrape.value("secret_up", secret="kv/not-utf-8-\\udcff") == 0


async def test_secrets_that_share_a_name_do_not_break_the_scrape(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.world.store.require(
        [SecretRequest.write("pki/issue/web", {"common_name": name}) for name in "abc"]
    )
    scrape = Scrape(scene)

    assert faults(scrape.families) == []
    assert scrape.value("secret_up", secret="write pki/issue/web #3") == 0
