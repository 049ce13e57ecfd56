"""What a running Leasekeeper consists of, made out of its settings; nothing is started here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from leasekeeper.files.attempt import Fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock_watch import ClockWatch
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.store import SecretStore
from leasekeeper.settings.model import Settings
from leasekeeper.sinks.token_sinks import TokenSinks
from leasekeeper.sources import Dialect, Sources
from leasekeeper.telemetry.events import log
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient
from leasekeeper.web.report import Reporter

if TYPE_CHECKING:
    from leasekeeper.secrets.memory import Memory
    from leasekeeper.secrets.saved import SavedSecret
    from leasekeeper.supervise.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that `Agent.run` starts and stops."""

    client: VaultClient
    tokens: TokenKeeper
    secrets: SecretStore
    outputs: OutputLoop
    sinks: TokenSinks
    reporter: Reporter
    memory: Memory | None


def build(
    settings: Settings,
    sources: Sources,
    *,
    dialect: Dialect,
    environ: Mapping[str, str],
    workers: FileWorkers,
    fence: Fence,
    memory: Memory | None,
    kept: dict[SecretRequest, SavedSecret],
    app: Supervisor | None,
    notes: list[str],
    on_bug: Callable[[str, BaseException], None],
) -> Parts:
    """Return everything that is started together.

    *memory* and *kept* are what earlier runs have left, *app* is the application that `exec` runs.
    What *notes* holds whenever it is asked is among the reasons that `/health` gives.
    """
    # The metadata address holds the container's id: the same task draws the same jitter, and
    # every task of a fleet another one. Elsewhere the operating system's randomness does it.
    rng = Random(environ.get("ECS_CONTAINER_METADATA_URI_V4"))  # noqa: S311
    client = VaultClient(settings.vault, rng, wrap_logins_s=settings.auth.wrap_ttl)
    tokens = TokenKeeper(
        client,
        create_method(settings.auth, settings.vault),
        backoff=Backoff(minimum_s=settings.auth.min_backoff, maximum_s=settings.auth.max_backoff),
        overlap_s=settings.secrets.overlap,
        probe_interval_s=settings.probe.interval,
        rng=rng,
        exit_on_error=settings.auth.exit_on_err,
        saved=memory.saved_token if memory else None,
    )
    secrets = SecretStore(
        settings,
        client,
        tokens,
        rng=rng,
        on_error=on_bug,
        memory=memory,
        kept=kept,
        empty_versions=dialect == "vault_agent",
    )
    outputs = OutputLoop(
        settings.lifecycle,
        sources,
        secrets,
        rng=rng,
        environ=environ,
        groups=settings.groups,
        workers=workers,
        in_memory=None if app is None else app.output,
        tell_application=None if app is None else app.tell,
        fence=fence,
    )
    sinks = TokenSinks(
        settings.sinks,
        tokens,
        client,
        lifecycle=settings.lifecycle,
        workers=workers,
        rng=rng,
        environ=environ,
    )
    client.reachability.on_return(sinks.wake)
    reporter = Reporter(
        client=client,
        tokens=tokens,
        secrets=secrets,
        outputs=outputs,
        sinks=sinks,
        expiry_grace_s=settings.lifecycle.expiry_grace,
        app=app,
        memory=memory,
        notes=notes,
    )
    return Parts(
        client=client,
        tokens=tokens,
        secrets=secrets,
        outputs=outputs,
        sinks=sinks,
        reporter=reporter,
        memory=memory,
    )


def clock_watch(parts: Parts) -> ClockWatch:
    """Return what tells everybody that time has passed while the machine was suspended."""
    watch = ClockWatch()
    watch.on_change(lambda seconds: log.warning("clock.changed", missed_s=round(seconds, 1)))
    watch.on_change(parts.tokens.aged)
    watch.on_change(parts.secrets.aged)
    parts.client.before_sending(watch.look)
    return watch
