"""Keeping one secret fresh: fetch, renew, probe, rotate.

A keeper is a job of the schedule: `step` does what is due and returns when the next thing is, by
the plan of `secrets.plan`; there is no task and no timer per secret.
"""

from __future__ import annotations

import math
from time import time

from leasekeeper.errors import (
    LeaseLost,
    MintBudgetSpent,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.runtime.clock import due, iso, now
from leasekeeper.secrets.asking import ask, may_mint
from leasekeeper.secrets.lifetime import (
    MINTED,
    Life,
    is_truncated,
    life_of,
    renew_after,
    rotate_after,
    same_value,
)
from leasekeeper.secrets.plan import LOST_AGAIN, RETRY, SAFETY_NET, SecretLease, SecretPlan
from leasekeeper.secrets.request import Operation
from leasekeeper.secrets.saved import Finding, SavedSecret, Verdict, examine, is_gone
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import MINTS, MINTS_HELD, RENEWAL_DELAY_SECONDS
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.vault.client import Mount
from leasekeeper.vault.response import VaultResponse

# A renewal has a quarter of what is left, so that there is time for another try.
_SHORTEST_RENEWAL_S = 2.0


class SecretKeeper(SecretPlan):
    """Owns one distinct request; publishes immutable snapshots of its answers."""

    async def step(self) -> float:
        """Do what is due; return when the next thing is."""
        if self._saved is not None:
            await self._resume(self._saved)
        await self._context.client.reachability.wait()
        await self._context.tokens.ready()
        if self.lease is not None and due(self.renew_at):
            await self._renew(self.lease)
        if due(self.fetch_at):
            await self._fetch()
        elif self.lease is not None and due(self.probe_at):
            await self._probe(self.lease)
        return min(self.fetch_at, self.renew_at, self.probe_at)

    async def _resume(self, saved: SavedSecret) -> None:
        """Go on with the value of the last run, if it is still good."""
        context = self._context
        await context.tokens.ready()
        found = await examine(context.client, context.tokens, saved, wall=time())
        if found.verdict is Verdict.ASK:
            return
        self._saved = None
        if found.verdict is Verdict.GONE:
            log.info("secret.not_adopted", secret=self.name, reason=found.reason)
        else:
            self._take_over(saved, found)

    # -- fetching ----------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        if self._wait_for_better_token():
            return
        try:
            response, serial = await self._ask()
        except MintBudgetSpent as error:
            self._hold(error)
        except VaultDenied as error:
            await self._denied(error)
        except VaultError as error:
            self._failed(error)
        else:
            self._trouble.recovered()
            self._saved = None
            self._adopt(response, serial)

    def _wait_for_better_token(self) -> bool:
        """Never mint on a dying token: ask for a new one first, once per token."""
        tokens = self._context.tokens
        if self._expected_life_s == 0 or self._waited_for_token == tokens.serial:
            return False
        if not tokens.too_short_for(self._expected_life_s):
            return False
        self._waited_for_token = tokens.serial
        tokens.replace()
        # The login wakes us. If it fails, a lease that ends soon is better than none.
        self.fetch_at = now() + RETRY.minimum_s
        return True

    async def _ask(self) -> tuple[VaultResponse, int]:
        """Return the answer and the number of the token that asked."""
        context, request, old = self._context, self.request, self.snapshot
        mount = await context.mounts.of(request.path)
        no_mint = old is not None and old.kind not in MINTED
        if no_mint or not may_mint(mount, request):
            return await self._ask_at(mount)
        async with context.budgets.mint(request, planned=self._is_planned()):
            response, serial = await self._ask_at(mount)
        if life_of(response, request.operation, wall_s=time()).kind not in MINTED:
            context.budgets.refund(request)
        self._held = None
        return response, serial

    async def _ask_at(self, mount: Mount | None) -> tuple[VaultResponse, int]:
        context = self._context
        return await ask(
            context.client,
            context.mounts,
            self.request,
            mount,
            self._manner(),
            empty_versions=context.empty_versions,
        )

    def _is_planned(self) -> bool:
        """Whether a new value now is no surprise: the old one has had its time, or its token has
        been replaced while it lives.
        """
        if self.lease is None or not self._outlived(self.lease):
            return due(self._mature_at)
        return self._context.tokens.end_of(self.lease.token_serial) > now()

    def _hold(self, error: MintBudgetSpent) -> None:
        """Put the fetch off until the budget allows it."""
        self.fetch_at = now() + self._context.budgets.wait_s(self.request)
        if self._held is None:
            MINTS_HELD.inc(self.name)
            log.warning(
                "secret.mint_held",
                secret=self.name,
                error=error.message,
                hint=error.hint,
                code=error.code,
                until=iso(self.fetch_at),
                **self._until(),
            )
        self._held = error

    async def _denied(self, error: VaultDenied) -> None:
        try:
            if await self._context.tokens.verify(error):
                self.fetch_at = now() + (RETRY.minimum_s if self._trouble.active else 0.0)
                return
        except VaultUnavailable as unavailable:
            self._failed(unavailable)
            return
        error.hint = (
            f"the token is good, so its policy is not: allow {_CAPABILITY[self.request.operation]}"
            f" on {error.path!r}"
        )
        self._failed(error)

    def _failed(self, error: VaultError) -> None:
        if (
            isinstance(error, VaultUnavailable)
            and self.snapshot is None
            and self._saved is not None
        ):
            left = self._saved.expires_wall - time()
            self._take_over(self._saved, Finding(Verdict.PROVISIONAL, left))
            self._saved = None
        self._trouble.failed(error, **self._until())
        self.fetch_at = now() + self._retry_delay(error, self._trouble.attempts - 1)
        if isinstance(error, VaultUnavailable) and error.interrupted:
            self._trouble.start_over()  # says nothing about how long an answer takes

    # -- adopting an answer ------------------------------------------------------------------------

    def _adopt(self, response: VaultResponse, serial: int) -> None:
        at = now()
        life = life_of(response, self.request.operation, wall_s=time())
        old = self.snapshot
        unchanged = (
            old is not None
            and old.kind is life.kind
            and same_value(life.kind, old.response, response)
        )
        if life.kind is SecretKind.STATIC_ROLE:
            self._rotation.note(life.duration_s, at=at, changed=not unchanged)
            end = self._rotation.valid_until(at)
        else:
            end = at + life.duration_s
        self._plan(response, life, serial)
        if old is not None and unchanged:
            old.lifetime.expires_at = end
            return
        snapshot = self._show(response, life, end, serial)
        self._report(snapshot, life)
        self._context.on_change(life.kind in MINTED)
        self._context.on_snapshot(snapshot)

    def _report(self, snapshot: Snapshot, life: Life) -> None:
        if life.kind in MINTED:
            MINTS.inc(self.name)
        log.info(
            "secret.fetched" if snapshot.generation == 1 else "secret.rotated",
            secret=self.name,
            kind=life.kind.value,
            generation=snapshot.generation,
            **({} if math.isinf(life.duration_s) else {"ttl_s": round(life.duration_s)}),
            **audit.of_answer(snapshot.response.request_id, snapshot.response.lease_id),
        )

    # -- renewing ----------------------------------------------------------------------------------

    async def _renew(self, lease: SecretLease) -> None:
        client, due_at = self._context.client, self.renew_at
        try:
            limit_s = max(self.left_s() / 4, _SHORTEST_RENEWAL_S)
            answer = await client.renew_lease(lease.lease_id, lease.increment_s, limit_s=limit_s)
        except VaultDenied as error:
            await self._renewal_denied(lease, error)
        except VaultError as error:
            if is_gone(error):
                self._lost(lease, error)
            elif isinstance(error, VaultRejected) and "not renewable" in error.message:
                self._stop_renewing(lease, error)
            else:
                self._renewal_failed(error)
        else:
            RENEWAL_DELAY_SECONDS.observe(max(now() - due_at, 0.0))
            self._renewed(lease, answer)

    def _renewal_failed(self, error: VaultError) -> None:
        self._renewal_trouble.failed(error, **self._until())
        self.renew_at = now() + self._retry_delay(error, self._renewal_trouble.attempts - 1)

    def _renewed(self, lease: SecretLease, answer: VaultResponse) -> None:
        context, at, granted_s = self._context, now(), float(answer.lease_duration_s)
        self._renewal_trouble.recovered()
        self._lost_in_a_row = 0
        if self.snapshot is not None:
            self.snapshot.lifetime.renewed(at + granted_s, at=at)
        context.on_change(False)
        truncated = is_truncated(granted_s, lease.increment_s)
        log.info(
            "lease.renewed",
            secret=self.name,
            ttl_s=round(granted_s),
            truncated=truncated,
            **audit.of_answer(answer.request_id, lease.lease_id),
        )
        again_at = at + renew_after(granted_s, context.overlap_s, context.rng)
        self.renew_at = math.inf if truncated else again_at
        if self._outlived(lease):
            return  # its successor is due, whatever was granted
        if truncated:
            # Max TTL is near and what remains can only get shorter: make the successor now, but
            # not long before a lease of such a life would have been renewed anyway.
            self.fetch_at = min(max(at, self._ripe_at), again_at)
        else:
            self.fetch_at = at + granted_s * (1 - SAFETY_NET)
            self._trouble.recovered()  # a successor is not needed any more

    async def _renewal_denied(self, lease: SecretLease, error: VaultDenied) -> None:
        try:
            if await self._context.tokens.verify(error):
                # A new token: token_changed has planned what is needed.
                self.renew_at = now() + RETRY.minimum_s
                return
        except VaultUnavailable as unavailable:
            self._renewal_failed(unavailable)
            return
        error.hint = "allow update on 'sys/leases/renew', or every end of a lease is a rotation"
        self._stop_renewing(lease, error)

    def _stop_renewing(self, lease: SecretLease, error: VaultError) -> None:
        """Use the lease to near its end and replace it then; a lease is not dead for that."""
        log.warning(
            "lease.renewal_refused",
            secret=self.name,
            error=error.message,
            hint=error.hint,
            code=LeaseLost.code,
        )
        self._end_renewals()
        if self.snapshot is not None and not self._outlived(lease):
            left = max(self.snapshot.lifetime.expires_at - now(), 0.0)
            life = Life(kind=SecretKind.LEASED, duration_s=left)
            after = rotate_after(life, self._context.overlap_s, self._context.rng)
            self.fetch_at = now() + after

    def _end_renewals(self) -> None:
        self.renew_at = math.inf
        # Not a recovery: whatever had failed is of no interest any more.
        self._renewal_trouble = Trouble("lease.renewal", secret=self.name)

    # -- probing -----------------------------------------------------------------------------------

    async def _probe(self, lease: SecretLease) -> None:
        self._plan_probe()
        try:
            await self._context.client.lookup_lease(lease.lease_id)
        except VaultUnavailable:
            return
        except VaultDenied as error:
            await self._probe_denied(error)
        except VaultError as error:
            if is_gone(error):
                self._lost(lease, error)
            else:
                self._note_refused_probe(error)
        else:
            self._lost_in_a_row, self._probe_refused = 0, False

    async def _probe_denied(self, error: VaultDenied) -> None:
        try:
            if await self._context.tokens.verify(error):
                return
        except VaultUnavailable:
            return
        self._note_refused_probe(error)

    def _note_refused_probe(self, error: VaultError) -> None:
        # Asked again at the interval all the same: policies and gateways change.
        if self._probe_refused:
            return
        self._probe_refused = True
        log.warning(
            "lease.probe_refused",
            secret=self.name,
            error=error.message,
            hint="allow update on 'sys/leases/lookup', so that a revoked lease is noticed",
        )

    def _lost(self, lease: SecretLease, error: VaultError) -> None:
        """The lease is gone: one event, one new lease."""
        if self.lease is not lease:
            return
        hashed = audit.lease_hash(lease.lease_id)
        log.warning(
            "lease.lost",
            secret=self.name,
            error=error.message,
            lease=hashed,
            code=LeaseLost.code,
        )
        if self.snapshot is not None:
            self.snapshot.lifetime.expires_at = min(now(), self.snapshot.lifetime.expires_at)
        self.lease, self.probe_at = None, math.inf
        self._context.on_change(True)
        self._end_renewals()
        again = self._lost_in_a_row
        self._lost_in_a_row += 1
        pause = 0.0 if again == 0 else LOST_AGAIN.delay(again - 1, self._context.rng)
        self.fetch_at = now() + pause


_CAPABILITY = {
    Operation.READ: "read",
    Operation.WRITE: "update",
    Operation.LIST: "list",
}
