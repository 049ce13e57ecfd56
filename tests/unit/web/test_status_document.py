"""/status: complete, as its schema says, and without a secret, over a Vault in virtual time."""

from __future__ import annotations

import asyncio
import io
import json
import random
from datetime import datetime
from typing import Any

import jsonschema
import pytest

from leasekeeper.errors import NotifyError, TemplateRenderError
from leasekeeper.outputs.notify import Notifier
from leasekeeper.runtime.clock import now
from leasekeeper.telemetry import events
from leasekeeper.telemetry.audit import lease_hash
from leasekeeper.web.recent import newest_first
from leasekeeper.web.schema import status_schema
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV
from tests.unit.web.test_health_report import Scene


def closed(schema: Any) -> Any:
    """Return *schema* such that keys it does not name are errors."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found["additionalProperties"] = False
    return found


def told(scene: Scene) -> dict[str, Any]:
    """Return what /status answers, which is as its schema says."""
    document: dict[str, Any] = json.loads(json.dumps(scene.report.status(), allow_nan=False))
    jsonschema.validate(document, closed(status_schema()))
    return document


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 3600, 60, 86400
    vault.kv2["product"] = {"password": "canary-in-kv"}
    return vault


async def test_before_the_first_login_it_is_complete_and_claims_nothing(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.world.store.require([CREDS])
    document = told(scene)

    (secret,) = document["secrets"]
    assert document["version"] == 1
    assert document["state"] == "starting"
    assert document["token"]["live"] is False
    assert document["token"]["ttl_seconds"] == 0
    assert document["vault"]["latency_seconds"] is None
    assert (secret["kind"], secret["generation"], secret["valid_seconds"]) == (None, 0, 0)
    assert secret["next"] == {"action": "fetch", "at": None}
    assert document["outputs"][0]["state"] == "waiting"


async def test_a_lease_is_told_from_its_issue_over_its_renewals_to_its_end(
    vault: FakeVault,
) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        await scene.world.until(
            lambda: scene.report.status()["secrets"][0]["renewals"] == 2, within_s=100
        )
        document = told(scene)
        lease = scene.world.store.keepers[CREDS].lease

    (secret,) = document["secrets"]
    issued, first, second = map(seconds, [secret["issued"], *secret["renewed"]])
    assert lease is not None
    assert secret["lease_hash"] == lease_hash(lease.lease_id)
    assert secret["kind"] == "leased"
    assert secret["outputs"] == ["/config/app.json"]
    assert issued < first < second <= seconds(document["now"])
    assert second < seconds(secret["renewal"]) < seconds(secret["rotation"])
    assert seconds(secret["rotation"]) < seconds(secret["expires"])
    assert document["outputs"][0]["secrets"] == ["database/creds/product"]
    assert document["outage_budget_until"] == secret["expires"]
    assert document["vault"]["latency_seconds"] == pytest.approx(0.001, abs=1e-3)


async def test_the_token_is_told_with_its_renewals_and_its_hand_over(vault: FakeVault) -> None:
    vault.token_ttl, vault.token_max_ttl = 60, 130
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        first = told(scene)["token"]
        await scene.world.until(
            lambda: scene.world.tokens.lease is not None and scene.world.tokens.lease.final,
            within_s=130,
        )
        last = told(scene)["token"]
        accessor = scene.world.tokens.lease and scene.world.tokens.lease.accessor

    assert (first["live"], first["renewals"], first["handover"]) == (True, 0, None)
    assert first["next"]["action"] == "renewal"
    assert last["renewals"] == len(last["renewed"]) >= 2
    assert seconds(last["issued"]) < seconds(last["renewed"][0])
    assert last["next"] == {"action": "login", "at": last["handover"]}
    assert seconds(last["handover"]) < seconds(last["expires"])
    assert accessor
    assert last["accessor_hash"] == lease_hash(accessor)
    assert accessor not in json.dumps(last)


async def test_more_renewals_than_are_remembered_are_still_counted(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        await asyncio.sleep(1500)
        (secret,) = told(scene)["secrets"]

    assert secret["renewals"] > len(secret["renewed"]) == 16


async def test_errors_come_with_what_to_do(vault: FakeVault) -> None:
    scene = Scene(vault)
    vault.denied_paths.add("database/creds/product")
    async with scene.world.running(CREDS, KV):
        await scene.publish(KV)
        await scene.world.until(
            lambda: scene.world.store.keepers[CREDS].error is not None, within_s=5
        )
        scene.output.error = TemplateRenderError("no such key", hint="write it")
        document = told(scene)

    denied = document["secrets"][0]["error"]
    assert "database/creds/product" in denied["message"]
    assert "allow read" in denied["hint"]
    assert document["outputs"][0]["error"]["message"] == "no such key"
    assert document["outputs"][0]["error"]["hint"] == "write it"
    assert document["state"] == "degraded"
    assert len(document["reasons"]) == 2


async def test_telling_the_application_is_told(vault: FakeVault) -> None:
    async def refuse() -> bool:
        raise NotifyError("nobody listens on port 9090")

    scene = Scene(vault)
    scene.output.notifier = notifier = Notifier(
        refuse, output="x", timeout_s=1, retries=0, rng=random.Random(1)
    )
    notifier.published()
    await asyncio.sleep(0.1)
    await notifier.close(grace_s=1)

    assert told(scene)["outputs"][0]["notify"] == {
        "result": "failed",
        "last_success": None,
        "error": {"code": "LK-NOTIFY-001", "message": "nobody listens on port 9090", "hint": None},
    }


async def test_an_outage_is_told_with_what_is_left(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        snapshot = await scene.publish()
        vault.down = True
        await scene.world.until(
            lambda: not scene.report.status()["vault"]["reachable"], within_s=60
        )
        during = told(scene)
        await asyncio.sleep(snapshot.lifetime.expires_at - now() + 1)
        after = told(scene)

    assert during["state"] == "degraded"
    assert 0 < during["outage_budget_seconds"] < 60
    assert during["vault"]["since"] is not None
    assert during["vault"]["error"]["code"].startswith("LK-")
    assert "http://fake:8200" in during["vault"]["error"]["message"]
    assert after["state"] == "unhealthy"
    assert after["outage_budget_seconds"] == 0
    assert after["outputs"][0]["expired"] is True


async def test_an_output_names_its_group(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.outputs.groups = {"/config/app.json": "tls"}

    assert told(scene)["outputs"][0]["group"] == "tls"


async def test_no_value_token_lease_or_accessor_is_in_it(vault: FakeVault) -> None:
    events.configure("info", "json", io.StringIO())
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=5)
        text = json.dumps(told(scene))
        token, keeper = scene.world.tokens.lease, scene.world.store.keepers[CREDS]
        snapshot = keeper.snapshot

    assert token is not None
    assert keeper.lease is not None
    assert snapshot is not None
    values = [str(value) for value in (snapshot.response.data or {}).values()]
    for secret in (*values, "canary-in-kv", token.client_token, token.accessor):
        assert secret not in text
    assert keeper.lease.lease_id not in text
    assert "token.login_succeeded" in text  # the events are there, without the accessor


def test_events_are_remembered_short_and_not_for_ever() -> None:
    events.configure("debug", "json", io.StringIO())
    for number in range(100):
        events.log.info("a.b", number=number)
    events.log.debug("a.debug")
    newest = newest_first()

    assert [each["fields"]["number"] for each in newest] == list(range(99, 39, -1))
    events.log.error("e", exc_info=ValueError("x"), text="x" * 9999)
    fields = newest_first()[0]["fields"]
    assert list(fields) == ["text"]
    assert len(fields["text"]) == 400


@pytest.mark.parametrize("value", [None, 3, 1.5, True, "caf\udce9", {"a": [1]}, ["x"]])
def test_whatever_a_field_is_it_can_be_told(value: object) -> None:
    events.configure("info", "json", io.StringIO())
    events.log.info("e", field=value)

    assert json.dumps(newest_first()).encode()
