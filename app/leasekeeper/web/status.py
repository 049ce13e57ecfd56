"""What is true right now, all of it, as /status and the page tell it. No secret is in it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from leasekeeper import __version__
from leasekeeper.errors import AgentError
from leasekeeper.outputs.output import Output
from leasekeeper.runtime.clock import iso, now
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.telemetry.audit import lease_hash
from leasekeeper.web.document import (
    VERSION,
    ApplicationStatus,
    Event,
    NextAction,
    NotifyStatus,
    OutputStatus,
    Problem,
    SecretStatus,
    Status,
    TokenStatus,
    VaultStatus,
)
from leasekeeper.web.recent import newest_first
from leasekeeper.web.report import Reporter


def status_of(report: Reporter) -> Status:
    """Return what is true now."""
    end = report.outage_end()
    return {
        "version": VERSION,
        "leasekeeper": __version__,
        "now": iso(now()),
        "state": report.health().value,
        "reasons": report.reasons(),
        "outage_budget_seconds": seconds_left(end - now()),
        "outage_budget_until": iso(end),
        "vault": _vault(report),
        "token": _token(report),
        "secrets": _secrets(report),
        "outputs": _outputs(report),
        "sinks": [
            {"path": sink.path, "settled": sink.settled, "error": problem(sink.error)}
            for sink in (() if report.sinks is None else report.sinks.sinks)
        ],
        "application": _application(report),
        "state_store": None if report.memory is None else {"error": problem(report.memory.error)},
        "shared": None,
        "events": events(),
    }


def events() -> list[Event]:
    """Return the newest events, the newest first."""
    return [
        {
            "time": one["time"],
            "level": one["level"],
            "event": one["event"],
            "fields": one["fields"],
        }
        for one in newest_first()
    ]


def problem(error: AgentError | None) -> Problem | None:
    """Return *error* in words."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
    }


def _vault(report: Reporter) -> VaultStatus:
    client = report.client
    latencies = [round(seconds, 4) for seconds in client.latencies_s]
    since = client.reachability.since
    return {
        "address": client.address,
        "reachable": client.reachability.up,
        "since": iso(since) if since else None,
        "latency_seconds": latencies[-1] if latencies else None,
        "latencies_seconds": latencies,
        "clock_offset_seconds": client.clock_offset_s,
        "error": problem(client.reachability.error),
    }


def _token(report: Reporter) -> TokenStatus:
    tokens = report.tokens
    lease = tokens.lease
    return {
        "live": lease is not None,
        "accessor_hash": lease_hash(lease.accessor) if lease and lease.accessor else None,
        "logins": tokens.serial,
        "renewable": lease is not None and lease.renewable,
        "final": lease is not None and lease.final,
        "issued": iso(lease.issued_at) if lease else None,
        "renewals": lease.renewals if lease else 0,
        "renewed": _times(lease.renewed_at) if lease else [],
        "expires": iso(lease.expires_at) if lease else None,
        "ttl_seconds": seconds_left(lease.expires_at - now()) if lease else 0.0,
        "next": _next(*tokens.next_action),
        "handover": iso(tokens.handover_at),
        "error": problem(tokens.error),
    }


def _secrets(report: Reporter) -> list[SecretStatus]:
    used: dict[object, list[str]] = {}
    for output in report.outputs.outputs:
        for snapshot in output.published_snapshots:
            used.setdefault(snapshot.request, []).append(output.label)
    return [
        _secret(report, name, keeper, used.get(keeper.request, []))
        for name, keeper in report.keepers().items()
    ]


def _secret(report: Reporter, name: str, keeper: SecretKeeper, outputs: list[str]) -> SecretStatus:
    snapshot, lease = keeper.snapshot, keeper.lease
    life = snapshot.lifetime if snapshot else None
    end = report.secrets.end_of(snapshot) if snapshot else -math.inf
    return {
        "name": name,
        "kind": snapshot.kind.value if snapshot else None,
        "generation": snapshot.generation if snapshot else 0,
        "issued": iso(snapshot.issued_at) if snapshot else None,
        "renewals": life.renewals if life else 0,
        "renewed": _times(life.renewed_at) if life else [],
        "expires": iso(end),
        "valid_seconds": seconds_left(end - now()),
        "next": _next(*keeper.next_action),
        "renewal": iso(keeper.renew_at),
        "rotation": iso(keeper.fetch_at),
        "probe": iso(keeper.probe_at),
        "lease_hash": lease_hash(lease.lease_id) if lease else None,
        "outputs": outputs,
        "error": problem(keeper.error),
    }


def _outputs(report: Reporter) -> list[OutputStatus]:
    names = {keeper.request: name for name, keeper in report.keepers().items()}
    expired, groups = set(report.expired()), report.outputs.groups
    found: list[OutputStatus] = []
    for output in report.outputs.outputs:
        made_of = {each.request for each in output.published_snapshots}
        secrets = sorted(names[request] for request in made_of if request in names)
        told = _output(report, output, secrets, expired=output.label in expired)
        found.append({**told, "group": groups.get(output.label)})
    return found


def _output(report: Reporter, output: Output, secrets: list[str], *, expired: bool) -> OutputStatus:
    end = report.output_end(output)
    return {
        "name": output.label,
        "group": None,
        "state": output.outcome.value,
        "generation": output.generation,
        "published": None if output.published_at is None else iso(output.published_at),
        "size_bytes": output.size_bytes,
        "expires": iso(end),
        "valid_seconds": seconds_left(end - now()),
        "expired": expired,
        "secrets": secrets,
        "waiting_for": sorted(output.waiting_for),
        "notify": _notify(output),
        "error": problem(output.error),
    }


def _notify(output: Output) -> NotifyStatus | None:
    notifier = output.notifier
    if notifier is None:
        return None
    told = notifier.last_success_at
    return {
        "result": notifier.state.value,
        "last_success": None if told is None else iso(told),
        "error": problem(notifier.last_error),
    }


def _application(report: Reporter) -> ApplicationStatus | None:
    app = report.app
    if app is None:
        return None
    return {
        "state": app.state.value,
        "pid": app.pid,
        "starts": app.starts,
        "started": None if app.started_at is None else iso(app.started_at),
    }


def _next(action: str, at: float) -> NextAction:
    assert action in ("renewal", "fetch", "login", "probe", "none")
    return {"action": action, "at": iso(at)}  # type: ignore[typeddict-item]


def _times(times: Iterable[float]) -> list[str]:
    return [text for at in times if (text := iso(at)) is not None]


def seconds_left(value: float) -> float | None:
    """JSON has no infinity: null means that it never ends."""
    return None if math.isinf(value) and value > 0 else round(max(value, 0.0), 1)
