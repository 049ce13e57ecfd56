"""All secrets of the process: one keeper per distinct request, one schedule for all keepers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, NoReturn

from leasekeeper.errors import VaultError
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.schedule import Schedule
from leasekeeper.runtime.tasks import Nursery
from leasekeeper.secrets.budget import MintBudgets
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.secrets.mounts import Mounts
from leasekeeper.secrets.plan import KeeperContext
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.settings.model import MintBudget, Settings
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.reachability import spread_s

if TYPE_CHECKING:
    from leasekeeper.secrets.memory import Memory
    from leasekeeper.secrets.saved import SavedSecret

# More steps at a time than connections, so that a slow answer does not hold up quick ones.
_CONCURRENCY = 32


class SecretStore:
    """Answers what is known of a secret, and keeps whatever was asked for fresh from then on."""

    def __init__(
        self,
        settings: Settings,
        client: VaultClient,
        tokens: TokenKeeper,
        *,
        rng: Random,
        on_error: Callable[[str, BaseException], None],
        memory: Memory | None = None,
        kept: dict[SecretRequest, SavedSecret] | None = None,
        empty_versions: bool = False,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._client = client
        self._nursery = Nursery(on_error)
        self._listeners: list[Callable[[SecretRequest], None]] = []
        self._memory, self._kept = memory, kept or {}
        self._schedule = Schedule(self._nursery, concurrency=_CONCURRENCY)
        self._context = KeeperContext(
            client=client,
            tokens=tokens,
            mounts=Mounts(client),
            budgets=_budgets(settings.secrets.mint_budget, memory),
            interval_of=self._interval_of,
            overlap_s=settings.secrets.overlap,
            probe_interval_s=settings.probe.interval,
            rng=rng,
            on_snapshot=self._publish,
            recall=self._recall,
            on_change=memory.changed if memory else _tell_nobody,
            empty_versions=empty_versions,
        )
        self.keepers: dict[SecretRequest, SecretKeeper] = {}
        if memory is not None:
            memory.attach(client, tokens, self._context.budgets, self._saved)
        tokens.on_login(self._token_changed)
        client.reachability.on_return(self._vault_returned)
        client.reachability.patience_s = self._patience_s

    def snapshot(self, request: SecretRequest) -> Snapshot | None:
        """Return the newest snapshot of *request*, or None while there is none."""
        keeper = self.keepers.get(request)
        return keeper.snapshot if keeper else None

    def error(self, request: SecretRequest) -> VaultError | None:
        """Return why *request* cannot be had or kept at present, if it cannot."""
        keeper = self.keepers.get(request)
        return keeper.error if keeper else None

    def require(self, requests: Iterable[SecretRequest]) -> None:
        """Keep *requests* fresh from now on; those already kept are left alone."""
        for request in requests:
            if request not in self.keepers:
                keeper = self.keepers[request] = SecretKeeper(request, self._context)
                self._schedule.wake(keeper)

    def subscribe(self, listener: Callable[[SecretRequest], None]) -> None:
        """Call *listener* for every new snapshot."""
        self._listeners.append(listener)

    def end_of(self, snapshot: Snapshot) -> float:
        """Return the loop time at which *snapshot*'s value stops working.

        The earlier of the lease's end and the end of the token that created it.
        """
        lifetime = snapshot.lifetime
        return min(lifetime.expires_at, self._tokens.end_of(lifetime.token_serial))

    def _patience_s(self) -> float:
        """Return for how long it does no harm not to know that Vault is back.

        Half of the time within which what is overdue is done then, or something revoked noticed.
        """
        token = self._tokens.lease
        left = 0.0 if token is None else token.expires_at - now()
        left = min([left, *(keeper.left_s() for keeper in self.keepers.values())])
        return min(spread_s(left), self._settings.probe.interval or math.inf) / 2

    def aged(self, seconds: float) -> None:
        """React to *seconds* that have passed unnoticed: look every lease up at once."""
        for keeper in self.keepers.values():
            self._schedule.wake(keeper, at=keeper.aged(seconds))

    def apply(self, settings: Settings) -> None:
        """Read secrets at the intervals of *settings* from now on."""
        self._settings = settings
        for keeper in self.keepers.values():
            self._schedule.wake(keeper, at=keeper.interval_changed())

    def wake(self, keeper: SecretKeeper) -> None:
        """Do at once what has been planned for *keeper*."""
        self._schedule.wake(keeper)

    def release(self, request: SecretRequest, *, revoke: bool) -> None:
        """Keep *request* fresh no more; with *revoke* its lease is ended, too."""
        keeper = self.keepers.pop(request)
        log.info("secret.released", secret=keeper.name)
        self._context.on_change(True)
        self._nursery.start(f"release {keeper.name}", self._release(keeper, revoke=revoke))

    async def _release(self, keeper: SecretKeeper, *, revoke: bool) -> None:
        await self._schedule.forget(keeper)
        if revoke:
            await self._revoke(keeper)

    async def revoke_leases(self) -> None:
        """Revoke every lease by itself, at the end, when their token cannot be revoked."""
        await asyncio.gather(*map(self._revoke, self.keepers.values()))

    async def _revoke(self, keeper: SecretKeeper) -> None:
        if (lease := keeper.lease) is None:
            return
        fields = {"secret": keeper.name, "lease": audit.lease_hash(lease.lease_id)}
        try:
            await self._client.revoke_lease(lease.lease_id)
        except VaultError as error:
            hint = "it ends by itself; to have it ended, allow update on 'sys/leases/revoke'"
            log.warning("lease.revocation_failed", **fields, error=error.message, hint=hint)
        else:
            keeper.lease = None  # or the next run would take it for one that lives
            self._context.on_change(True)
            log.info("lease.revoked", **fields)

    async def run(self) -> NoReturn:
        """Keep every secret fresh. Never returns."""
        try:
            await self._schedule.run()
        finally:
            await self._nursery.close()

    def _interval_of(self, request: SecretRequest) -> float:
        override = self._settings.secrets.overrides.get(request.path)
        if override is not None and override.static_secret_render_interval is not None:
            return override.static_secret_render_interval
        return self._settings.secrets.static_secret_render_interval

    def _saved(self) -> list[SavedSecret]:
        found = (keeper.saved() for keeper in self.keepers.values())
        return [saved for saved in found if saved is not None]

    def _recall(self, request: SecretRequest) -> SavedSecret | None:
        """Return what is known of *request* from the last run, once."""
        kept = self._kept.pop(request, None)
        return (self._memory and self._memory.recall(request)) or kept

    def _publish(self, snapshot: Snapshot) -> None:
        for listener in self._listeners:
            listener(snapshot.request)

    def _token_changed(self) -> None:
        for keeper in self.keepers.values():
            if keeper.token_changed():
                self._schedule.wake(keeper)

    def _vault_returned(self) -> None:
        for keeper in self.keepers.values():
            if (at := keeper.vault_returned()) < math.inf:
                self._schedule.wake(keeper, at=at)


def _budgets(bound: MintBudget, memory: Memory | None) -> MintBudgets:
    if memory is None:
        return MintBudgets(bound.count, bound.window)
    return MintBudgets(
        bound.count,
        bound.window,
        spent=memory.spent,
        spent_ago_s=memory.spent_ago_s,
        before_mint=memory.flush,
    )


def _tell_nobody(_at_once: bool) -> None:
    return
