"""What is true right now, in words and numbers that are safe to show: no secret is in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from leasekeeper import __version__
from leasekeeper.errors import AgentError
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.outputs.output import Output
from leasekeeper.runtime.clock import iso, now
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.secrets.store import SecretStore
from leasekeeper.sinks.token_sinks import TokenSinks
from leasekeeper.telemetry.audit import lease_hash
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.vault.client import VaultClient

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from leasekeeper.secrets.memory import Memory
    from leasekeeper.supervise.supervisor import Supervisor
    from leasekeeper.web.document import Status


class Health(StrEnum):
    """How the whole process is; the HTTP status is 200 for the middle two, 503 for the others."""

    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @property
    def ok(self) -> bool:
        """Whether an application may rely on what is on disk."""
        return self in (Health.HEALTHY, Health.DEGRADED)


# draft-inadarei-api-health-check-06, section 3.1
_DRAFT_STATUS = {
    Health.STARTING: "fail",
    Health.HEALTHY: "pass",
    Health.DEGRADED: "warn",
    Health.UNHEALTHY: "fail",
}


class View(Protocol):
    """What there is to show of the process."""

    @property
    def settled(self) -> bool:
        """Whether every file has been in place once."""

    def health(self) -> Health:
        """Return the state of the whole process."""

    def health_json(self) -> dict[str, Any]:
        """Return the body of /health."""

    def status(self) -> Status:
        """Return the answer of /status."""

    def collector(self) -> Collector:
        """Return what makes metrics of the state, as of each scrape."""


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Reads the parts of the agent; owns nothing."""

    client: VaultClient
    tokens: TokenKeeper
    secrets: SecretStore
    outputs: OutputLoop
    expiry_grace_s: float
    sinks: TokenSinks | None = None
    app: Supervisor | None = None
    memory: Memory | None = None
    notes: Sequence[str] = ()
    """What else there is to say of the process, a sentence each."""

    @property
    def settled(self) -> bool:
        """Whether every file has been in place once, and the application been started."""
        return (
            self.outputs.settled.released
            and (self.sinks is None or self.sinks.settled.released)
            and (self.app is None or self.app.starts > 0)
        )

    def output_end(self, output: Output) -> float:
        """Return the loop time at which the first credential in *output*'s file stops working."""
        snapshots = output.published_snapshots
        if self.app is not None and output is self.app.output:
            snapshots = self.app.snapshots  # it may have been started with older values
        return min(map(self.secrets.end_of, snapshots), default=math.inf)

    def outage_budget_s(self) -> float:
        """Return for how long everything on disk stays valid if Vault went away now."""
        return max(self.outage_end() - now(), 0.0)

    def outage_end(self) -> float:
        """Return the loop time at which the first credential on disk stops working."""
        return min((self.output_end(output) for output in self.outputs.outputs), default=math.inf)

    def reasons(self) -> list[str]:
        """Return what is wrong at present, a sentence each; empty when all is well."""
        found = list(self.notes)
        if not self.client.reachability.up:
            found.append("Vault cannot be reached")
        if self.tokens.error is not None:
            found.append(f"token: {self.tokens.error.coded}")
        if self.memory is not None and self.memory.error is not None:
            found.append(f"state: {self.memory.error.coded}")
        found += [
            f"secret {name}: {keeper.error.coded}"
            for name, keeper in self.keepers().items()
            if keeper.error is not None
        ]
        for output in self.outputs.outputs:
            if output.error is not None:
                found.append(f"output {output.label}: {output.error.coded}")
            elif output.waiting_for:
                names = ", ".join(sorted(output.waiting_for))
                found.append(f"output {output.label}: waiting for {names}")
        if self.sinks is not None:
            found += [f"sink {sink.path}: {error.coded}" for sink, error in self.sinks.failures()]
        if self.app is not None and self.app.state != "running":
            found.append(f"application: {self.app.state.value}")
        return found

    def expired(self) -> list[str]:
        """Return the outputs whose file holds something that has stopped working."""
        limit = now() - self.expiry_grace_s
        return [o.label for o in self.outputs.outputs if self.output_end(o) <= limit]

    def health(self) -> Health:
        """Return the state of the whole process."""
        return self._judge(self.reasons(), self.expired())

    def _judge(self, reasons: list[str], expired: list[str]) -> Health:
        if not self.settled:
            return Health.STARTING
        if expired:
            return Health.UNHEALTHY
        return Health.DEGRADED if reasons else Health.HEALTHY

    def health_json(self) -> dict[str, Any]:
        """Return the body of /health."""
        reasons, expired = self.reasons(), self.expired()
        health = self._judge(reasons, expired)
        return {
            "status": _DRAFT_STATUS[health],
            "state": health.value,
            "version": __version__,
            "reasons": reasons,
            "expired": expired,
            "outage_budget_seconds": _seconds(self.outage_budget_s()),
            "vault": {"reachable": self.client.reachability.up},
            "token": self._token_json(),
            **({} if self.app is None else {"application": self._app_json(self.app)}),
            "outputs": {output.label: self._output_json(output) for output in self.outputs.outputs},
            "secrets": {name: self._secret_json(k) for name, k in self.keepers().items()},
        }

    def status(self) -> Status:
        """Return the answer of /status."""
        from leasekeeper.web.status import status_of

        return status_of(self)

    def collector(self) -> Collector:
        """Return what makes metrics of the state, as of each scrape."""
        from leasekeeper.web.gauges import StateCollector

        return StateCollector(self)

    def keepers(self) -> dict[str, SecretKeeper]:
        """Return the keepers by a name of their own.

        Writes to one path with different arguments share a name; arguments are not for showing,
        so they are numbered. A path that is not UTF-8 is escaped: metrics have to be.
        """
        named: dict[str, SecretKeeper] = {}
        for keeper in self.secrets.keepers.values():
            plain = name = keeper.name.encode("utf-8", "backslashreplace").decode("utf-8")
            number = 1
            while name in named:
                number += 1
                name = f"{plain} #{number}"
            named[name] = keeper
        return named

    def _token_json(self) -> dict[str, Any]:
        lease = self.tokens.lease
        if lease is None:
            return {"live": False, "error": _text(self.tokens.error)}
        return {
            "live": True,
            # Whoever may revoke by accessor could use the plain one, and everybody may ask.
            "accessor_hash": lease_hash(lease.accessor) if lease.accessor else None,
            "logins": lease.serial,
            "renewable": lease.renewable,
            "ttl_seconds": _seconds(lease.expires_at - now()),
            "expires": iso(lease.expires_at),
            "error": _text(self.tokens.error),
        }

    def _app_json(self, app: Supervisor) -> dict[str, Any]:
        return {
            "state": app.state.value,
            "pid": app.pid,
            "starts": app.starts,
            "started": None if app.started_at is None else iso(app.started_at),
        }

    def _output_json(self, output: Output) -> dict[str, Any]:
        end = self.output_end(output)
        return {
            "outcome": output.outcome.value,
            "generation": output.generation,
            "published": None if output.published_at is None else iso(output.published_at),
            "valid_until": iso(end),
            "valid_seconds": _seconds(end - now()),
            "waiting_for": sorted(output.waiting_for),
            "error": _text(output.error),
            "notify": output.notify_state,
        }

    def _secret_json(self, keeper: SecretKeeper) -> dict[str, Any]:
        snapshot = keeper.snapshot
        action, at = keeper.next_action
        common = {
            "next": {"action": action, "at": iso(max(at, now()))},
            "error": _text(keeper.error),
        }
        if snapshot is None:
            return {"kind": None, "generation": 0, **common}
        end = self.secrets.end_of(snapshot)
        return {
            "kind": snapshot.kind.value,
            "generation": snapshot.generation,
            "issued": iso(snapshot.issued_at),
            "valid_until": iso(end),
            "valid_seconds": _seconds(end - now()),
            **common,
        }


def _text(error: AgentError | None) -> str | None:
    return None if error is None else str(error)


def _seconds(value: float) -> float | None:
    """JSON has no infinity: null means that it never ends."""
    return None if math.isinf(value) and value > 0 else round(max(value, 0.0), 1)
