"""What health says, from the first second to the last, over a Vault in virtual time."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from leasekeeper import __version__
from leasekeeper.errors import AgentError, TemplateRenderError
from leasekeeper.outputs.notify import Notifier
from leasekeeper.outputs.output import Outcome
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.latch import Latch
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.supervise.supervisor import AppState
from leasekeeper.web.report import Health, Reporter
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import CREDS, KV, World


@dataclass
class FakeOutput:
    """What the report reads of an output."""

    label: str
    outcome: Outcome = Outcome.WAITING
    generation: int = 0
    published_at: float | None = None
    published_snapshots: tuple[Snapshot, ...] = ()
    waiting_for: tuple[str, ...] = ()
    error: AgentError | None = None
    notify_state: str | None = None
    notifier: Notifier | None = None
    size_bytes: int = 0

    def publish(self, *snapshots: Snapshot | None) -> None:
        self.published_snapshots = tuple(s for s in snapshots if s is not None)
        assert len(self.published_snapshots) == len(snapshots)
        self.outcome, self.error, self.waiting_for = Outcome.PUBLISHED, None, ()
        self.generation += 1
        self.published_at = now()


@dataclass
class FakeOutputs:
    outputs: tuple[FakeOutput, ...]
    settled: Latch = field(default_factory=Latch)
    groups: dict[str, str] = field(default_factory=dict)


class Scene:
    """A world, one output and the report on both."""

    def __init__(self, vault: FakeVault, *, grace_s: float = 0.0, **settings: Any) -> None:
        self.vault = vault
        self.world = World(vault, **settings)
        self.output = FakeOutput("/config/app.json")
        self.outputs = FakeOutputs((self.output,))
        self.report = Reporter(
            client=self.world.client,
            tokens=self.world.tokens,
            secrets=self.world.store,
            outputs=self.outputs,  # type: ignore[arg-type]
            expiry_grace_s=grace_s,
        )

    def run_application(self) -> SimpleNamespace:
        """Let the output be the environment of an application that does not run yet."""
        app = SimpleNamespace(
            state=AppState.WAITING,
            pid=None,
            starts=0,
            started_at=None,
            snapshots=(),
            output=self.output,
        )
        object.__setattr__(self.report, "app", app)
        return app

    async def publish(self, request: SecretRequest = CREDS) -> Snapshot:
        await self.world.until(lambda: self.world.store.snapshot(request) is not None, within_s=5)
        snapshot = self.world.store.snapshot(request)
        self.output.publish(snapshot)
        self.outputs.settled.release()
        assert snapshot is not None
        return snapshot


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.token_ttl, vault.lease_ttl, vault.lease_max_ttl = 3600, 60, 86400
    vault.kv2["product"] = {"password": "canary-in-kv"}
    return vault


@pytest.mark.parametrize(
    ("health", "status", "ok"),
    [
        (Health.STARTING, "fail", False),
        (Health.HEALTHY, "pass", True),
        (Health.DEGRADED, "warn", True),
        (Health.UNHEALTHY, "fail", False),
    ],
)
async def test_each_state_has_a_status_of_the_draft_and_a_verdict(
    vault: FakeVault, health: Health, status: str, ok: bool
) -> None:
    scene = Scene(vault)
    object.__setattr__(scene.report, "_judge", lambda _reasons, _expired: health)

    assert health.ok is ok
    assert scene.report.health_json()["status"] == status
    assert scene.report.health_json()["state"] == health.value


async def test_it_is_starting_until_every_output_has_been_in_place(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.output.waiting_for = ("kv/b", "kv/a")

    assert scene.report.health() is Health.STARTING
    assert scene.report.reasons() == ["output /config/app.json: waiting for kv/a, kv/b"]
    async with scene.world.running(CREDS):
        await scene.publish()
        assert scene.report.health() is Health.HEALTHY
        assert scene.report.reasons() == []


async def test_a_failing_start_tells_why(vault: FakeVault) -> None:
    vault.fail("auth/approle/login", 403)
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await asyncio.sleep(5)

        assert scene.report.health() is Health.STARTING
        assert scene.report.health_json()["token"] == {
            "live": False,
            "error": "login 'auth/approle/login': 403",
        }
        assert scene.report.reasons()[0] == (
            "token: login 'auth/approle/login': 403 [LK-SECRET-001]"
        )


async def test_an_outage_is_degraded_for_as_long_as_everything_on_disk_works(
    vault: FakeVault,
) -> None:
    """P4: ECS must not stop a task that is served well."""
    scene = Scene(vault, probe={"interval": "5s"})
    async with scene.world.running(CREDS):
        snapshot = await scene.publish()
        vault.down = True
        ends_at = snapshot.lifetime.expires_at
        await asyncio.sleep(8)
        assert scene.report.health() is Health.DEGRADED
        assert "Vault cannot be reached" in scene.report.reasons()
        assert scene.report.outage_budget_s() == pytest.approx(ends_at - now())

        await asyncio.sleep(snapshot.lifetime.expires_at - now() - 0.5)
        assert scene.report.health() is Health.DEGRADED
        await asyncio.sleep(1)
        assert scene.report.health() is Health.UNHEALTHY
        assert scene.report.expired() == ["/config/app.json"]
        assert scene.report.outage_budget_s() == 0

        vault.down = False
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=10)
        assert scene.report.health() is Health.UNHEALTHY  # the file still holds the old one
        await scene.publish()
        assert scene.report.health() is Health.HEALTHY


async def test_a_lease_ends_with_the_token_that_made_it(vault: FakeVault) -> None:
    vault.token_ttl, vault.token_renewable, vault.lease_ttl = 40, False, 3600
    scene = Scene(vault, probe={"interval": "0"})
    async with scene.world.running(CREDS):
        await scene.publish()
        vault.down = True
        await asyncio.sleep(39)
        assert scene.report.health() is not Health.UNHEALTHY
        await asyncio.sleep(1.5)
        assert scene.report.health() is Health.UNHEALTHY


async def test_the_end_of_a_token_is_no_end_of_a_static_secret(vault: FakeVault) -> None:
    vault.token_ttl, vault.token_renewable = 40, False
    scene = Scene(vault, probe={"interval": "0"})
    async with scene.world.running(KV):
        await scene.publish(KV)
        vault.down = True
        await asyncio.sleep(4000)
        assert scene.report.health() is Health.DEGRADED
        assert scene.report.outage_budget_s() == math.inf


async def test_the_grace_postpones_the_verdict(vault: FakeVault) -> None:
    scene = Scene(vault, grace_s=20.0)
    async with scene.world.running(CREDS):
        snapshot = await scene.publish()
        vault.down = True
        await asyncio.sleep(snapshot.lifetime.expires_at - now() + 19)
        assert scene.report.health() is Health.DEGRADED
        await asyncio.sleep(2)
        assert scene.report.health() is Health.UNHEALTHY


async def test_a_rotated_secret_is_judged_by_what_is_on_disk(vault: FakeVault) -> None:
    """A new credential in memory does not make the old one in the file valid."""
    vault.lease_ttl = vault.lease_max_ttl = 60
    scene = Scene(vault)
    async with scene.world.running(CREDS):
        await scene.publish()
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=60)
        scene.output.error = TemplateRenderError("template x: no such key")
        assert scene.report.health() is Health.DEGRADED
        await asyncio.sleep(60)
        assert scene.report.health() is Health.UNHEALTHY


async def test_a_failing_output_or_secret_degrades_and_is_named(vault: FakeVault) -> None:
    vault.denied_paths.add("secret/data/")
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        await asyncio.sleep(5)
        scene.output.error = TemplateRenderError("template x: no such key", hint="add it")

        assert scene.report.health() is Health.DEGRADED
        secret, output = scene.report.reasons()
        assert secret.startswith("secret secret/product: read 'secret/data/product': 403")
        assert "allow read on 'secret/data/product'" in secret
        assert output == "output /config/app.json: template x: no such key (add it) [LK-TPL-002]"


async def test_the_body_of_health_tells_everything_and_no_secret(vault: FakeVault) -> None:
    scene = Scene(vault)
    async with scene.world.running(CREDS, KV):
        await scene.publish()
        await scene.world.until(lambda: len(scene.world.seen) == 2, within_s=5)
        body = json.loads(json.dumps(scene.report.health_json(), allow_nan=False))
        accessor = scene.world.tokens.lease and scene.world.tokens.lease.accessor

    assert body["version"] == __version__
    assert (body["status"], body["state"], body["reasons"]) == ("pass", "healthy", [])
    assert body["vault"] == {"reachable": True}
    assert body["outage_budget_seconds"] == pytest.approx(60, abs=1)
    assert body["token"]["live"]
    assert body["token"]["ttl_seconds"] == pytest.approx(3600, abs=1)
    output = body["outputs"]["/config/app.json"]
    assert (output["outcome"], output["generation"]) == ("published", 1)
    assert output["valid_seconds"] == pytest.approx(60, abs=1)
    leased, static = body["secrets"]["database/creds/product"], body["secrets"]["secret/product"]
    assert (leased["kind"], leased["generation"]) == ("leased", 1)
    assert leased["next"]["action"] in ("renewal", "probe")
    assert (static["kind"], static["valid_seconds"], static["valid_until"]) == (
        "static",
        None,
        None,
    )
    shown = json.dumps(body)
    assert "canary" not in shown
    assert "hvs." not in shown
    assert accessor
    assert accessor not in shown, "who may revoke by accessor could use it"
    assert len(body["token"]["accessor_hash"]) == 16


async def test_a_secret_that_has_not_been_read_has_no_kind(vault: FakeVault) -> None:
    scene = Scene(vault)
    scene.world.store.require([CREDS])

    (told,) = scene.report.health_json()["secrets"].values()

    assert (told["kind"], told["generation"], told["error"]) == (None, 0, None)
    assert told["next"]["action"] == "fetch"


async def test_writes_that_differ_only_in_their_arguments_are_told_apart(
    vault: FakeVault,
) -> None:
    """Arguments may be secret, so they are numbered; nothing of them is shown."""
    scene = Scene(vault)
    requests = [
        SecretRequest.write("pki/issue/web", {"common_name": name}) for name in ("a", "b", "c")
    ]
    scene.world.store.require([*requests, SecretRequest.read("kv/\udcff")])

    names = list(scene.report.keepers())

    assert names == [
        "write pki/issue/web",
        "write pki/issue/web #2",
        "write pki/issue/web #3",
        "kv/\\udcff",
    ]
    assert list(scene.report.health_json()["secrets"]) == names


async def test_two_thousand_secrets_and_outputs_are_told_in_a_moment(vault: FakeVault) -> None:
    """P9: whoever asks for health must not hold up the renewals (nor get no answer)."""
    scene = Scene(vault)
    requests = [SecretRequest.read(f"database/creds/role{n}") for n in range(2000)]
    scene.outputs.outputs = tuple(FakeOutput(f"/config/{n}") for n in range(2000))
    async with scene.world.running(*requests):
        await scene.world.until(lambda: len(scene.world.seen) == 2000, within_s=60)
        for output, request in zip(scene.outputs.outputs, requests, strict=True):
            output.publish(scene.world.store.snapshot(request))
        steps = count_of_steps(scene.report.health_json)

    # A bound on work, not on time, which would measure the machine.
    assert steps < 2000 * 120


def count_of_steps(work: Any) -> int:
    """Return how many calls of Python functions *work* makes."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


async def test_it_is_starting_until_the_application_runs_and_degraded_while_it_is_restarted(
    vault: FakeVault,
) -> None:
    scene = Scene(vault)
    app = scene.run_application()
    async with scene.world.running(KV):
        await scene.publish(KV)
        assert scene.report.health() is Health.STARTING
        app.state, app.starts, app.pid = AppState.RUNNING, 1, 4711
        assert scene.report.health() is Health.HEALTHY
        app.state = AppState.RESTARTING

        assert scene.report.health() is Health.DEGRADED
        assert scene.report.reasons() == ["application: restarting"]


async def test_an_application_with_an_old_credential_is_unhealthy_when_that_ends(
    vault: FakeVault,
) -> None:
    """With restart_on_secret_changes: never the newest value is not the one in use."""
    scene = Scene(vault)
    app = scene.run_application()
    vault.lease_max_ttl = 60
    async with scene.world.running(CREDS):
        old = await scene.publish()
        app.state, app.starts, app.snapshots = AppState.RUNNING, 1, (old,)
        await scene.world.until(lambda: scene.world.store.snapshot(CREDS) is not old, within_s=60)
        await scene.publish()
        assert scene.report.health() is Health.HEALTHY
        await asyncio.sleep(61)

        assert scene.report.health() is Health.UNHEALTHY
