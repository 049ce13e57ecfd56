"""Keeping one secret fresh: fetch, renew, probe, rotate.

A keeper is a job of the schedule. Three times say what comes next: `fetch_at` (a new value),
`renew_at` (a later end for the same value) and `probe_at` (does the lease still exist). `step`
does what is due and returns the earliest of them; there is no task and no timer per secret.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import time

from leasekeeper.errors import (
    LeaseLost,
    MintBudgetSpent,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import due, iso, now
from leasekeeper.secrets.asking import ask, may_mint
from leasekeeper.secrets.budget import MintBudgets
from leasekeeper.secrets.lifetime import (
    FIRST_SPREAD,
    MINTED,
    Life,
    is_truncated,
    life_of,
    renew_after,
    rotate_after,
    same_value,
)
from leasekeeper.secrets.mounts import Mounts
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.secrets.rotation import RotationWatch
from leasekeeper.secrets.saved import Finding, SavedSecret, Verdict, examine, is_gone
from leasekeeper.secrets.snapshot import Lifetime, SecretKind, Snapshot
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import MINTS, MINTS_HELD, RENEWAL_DELAY_SECONDS
from leasekeeper.telemetry.redaction import redactor, strings_in
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.vault.client import Mount, VaultClient
from leasekeeper.vault.reachability import spread_s
from leasekeeper.vault.response import VaultResponse
from leasekeeper.vault.transport import Manner, Urgency

RETRY = Backoff(minimum_s=1.0, maximum_s=60.0)
# While there is no value that works, an application is down: do not make it wait for a minute.
_URGENT_RETRY = Backoff(minimum_s=1.0, maximum_s=15.0)
# Leases that are lost again and again are not replaced in a loop: the first at once, then slower.
# The same for certificates that have ended on arrival.
_LOST_AGAIN = Backoff(minimum_s=1.0, maximum_s=120.0)
# A last attempt at a new value when every renewal has failed: at five sixths of the lease's life.
_SAFETY_NET = 1 / 6
# Time limits of requests follow what is left of a value, so that there is time for another try;
# but making one may really take long, so the next try is given twice the time.
_SHORTEST_RENEWAL_S = 2.0
_SHORTEST_FETCH_S = 10.0
# A lease that is gone is noticed on the way to its replacement; do not wait for less than this.
_SHORTEST_RETRY_S = 0.5
# Every plan lets a value live for longer than this part of its life, jitter and overlap included.
_MATURE_AT = 0.4
# A certificate with less than this has ended on arrival: the issuer's clock or ours is off.
_SHORTEST_LIFE_S = 1.0

_READ_AGAIN = (SecretKind.STATIC, SecretKind.LIST)


@dataclass(frozen=True, kw_only=True)
class KeeperContext:
    """What every keeper needs; one for the process."""

    client: VaultClient
    tokens: TokenKeeper
    mounts: Mounts
    budgets: MintBudgets
    interval_of: Callable[[SecretRequest], float]
    overlap_s: float
    probe_interval_s: float
    rng: Random
    on_snapshot: Callable[[Snapshot], None]
    # What is known of a request from the last run, and whom to tell that it is out of date: at
    # once when it would cost a new value to lose it.
    recall: Callable[[SecretRequest], SavedSecret | None]
    on_change: Callable[[bool], None]
    # As for Vault Agent, a destroyed version of KV 2 is a secret without data.
    empty_versions: bool = False


@dataclass(frozen=True, slots=True)
class SecretLease:
    """The lease behind the current snapshot."""

    lease_id: str
    increment_s: float
    token_serial: int


class SecretKeeper:
    """Owns one distinct request; publishes immutable snapshots of its answers."""

    def __init__(self, request: SecretRequest, context: KeeperContext) -> None:
        self._context = context
        self._trouble = Trouble("secret.fetch", secret=request.name)
        self._renewal_trouble = Trouble("lease.renewal", secret=request.name)
        self._lost_in_a_row = 0
        self._probe_refused = False
        self._waited_for_token = 0
        self._held: MintBudgetSpent | None = None
        # From here on a new value is no surprise, so it costs nothing of the mint budget.
        self._mature_at = math.inf
        # When a lease would be renewed if that were not spread: not replaced before without need.
        self._ripe_at = -math.inf
        self._expected_life_s = 0.0
        self._rotation = RotationWatch()
        self._saved = context.recall(request)
        self.request = request
        self.snapshot: Snapshot | None = None
        self.lease: SecretLease | None = None
        self.fetch_at = -math.inf
        self.renew_at = math.inf
        self.probe_at = math.inf

    @property
    def name(self) -> str:
        """The request's name, as logged."""
        return self.request.name

    @property
    def error(self) -> VaultError | None:
        """Why the secret cannot be fetched or its lease not renewed at present."""
        error = self._held or self._trouble.error or self._renewal_trouble.error
        return error if isinstance(error, VaultError) else None

    @property
    def next_action(self) -> tuple[str, float]:
        """What comes next, and when (loop time): ``renewal``, ``fetch``, ``probe`` or ``none``."""
        at = min(self.fetch_at, self.renew_at, self.probe_at)
        if math.isinf(at) and at > 0:
            return ("none", at)
        if at == self.renew_at:
            return ("renewal", at)
        return ("fetch" if at == self.fetch_at else "probe", at)

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

    # -- a restart ------------------------------------------------------------------------------

    def saved(self) -> SavedSecret | None:
        """Return what a restart should know."""
        snapshot, lease = self.snapshot, self.lease
        if snapshot is None:
            return self._saved
        if snapshot.response.lease_id and lease is None:
            return None  # the lease is gone
        wall = time() - now()
        return SavedSecret(
            request=self.request,
            kind=snapshot.kind,
            response=snapshot.response,
            increment_s=lease.increment_s if lease else math.inf,
            of_token=lease is not None and not self._outlived(lease),
            expires_wall=wall + snapshot.lifetime.expires_at,
            fetch_wall=wall + self.fetch_at,
            mature_wall=wall + self._mature_at,
        )

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

    def _take_over(self, saved: SavedSecret, found: Finding) -> None:
        at, wall, serial = now(), time(), self._context.tokens.serial
        provisional = found.verdict is Verdict.PROVISIONAL
        renewable = saved.response.renewable and bool(saved.response.lease_id)
        life = Life(kind=saved.kind, duration_s=found.left_s, renewable=renewable)
        self._plan(saved.response, life, serial)
        if self.lease is not None:
            self.lease = SecretLease(self.lease.lease_id, saved.increment_s, serial)
            self._expected_life_s = 0.0 if math.isinf(saved.increment_s) else saved.increment_s
        if not renewable:  # what was planned must not be put off by every restart
            self.fetch_at = min(self.fetch_at, at + saved.fetch_wall - wall)
        elif provisional:
            self.renew_at = at
        if provisional and self.lease is None:
            self.fetch_at = -math.inf
        self._mature_at = at + saved.mature_wall - wall
        self._show(saved.response, life, at + found.left_s, serial)
        log.info("secret.adopted", secret=self.name, provisional=provisional)
        assert self.snapshot is not None
        self._context.on_snapshot(self.snapshot)

    # -- what wakes a keeper --------------------------------------------------------------------

    def token_changed(self) -> bool:
        """React to a new token; True when there is something to do now.

        Leases die with the token that made them, so they are made anew under the new one while
        the old one still lives. Values without a lease are left alone.
        """
        needed = self._trouble.active or (self.lease is not None and self._outlived(self.lease))
        if needed:
            self.fetch_at = -math.inf
        return needed

    def _outlived(self, lease: SecretLease) -> bool:
        """Whether *lease* ends with a token that is no longer in use."""
        return lease.token_serial != self._context.tokens.serial

    def vault_returned(self) -> float:
        """React to the end of an outage; return when the next step is.

        What had failed or is overdue is done soon, the sooner the less is left; a fleet does not
        ask for everything in the same moment.
        """
        at = now() + self._context.rng.random() * spread_s(self.left_s())
        if self._renewal_trouble.active or due(self.renew_at):
            self.renew_at = at
        if self._trouble.active or due(self.fetch_at):
            self.fetch_at = at
        if due(self.probe_at):
            self._plan_probe(0.0, 0.5)  # half: it may have taken that long to notice the return
        self._trouble.start_over()
        self._renewal_trouble.start_over()
        return min(self.renew_at, self.fetch_at, self.probe_at)

    def aged(self, seconds: float) -> float:
        """React to *seconds* that have passed unnoticed; return when the next step is."""
        if self.snapshot is not None:
            self.snapshot.lifetime.expires_at -= seconds
        self._rotation.aged(seconds)
        self._mature_at -= seconds
        self._ripe_at -= seconds
        self.renew_at -= seconds
        self.fetch_at -= seconds
        if self.lease is not None and self._context.probe_interval_s:
            self.probe_at = now()
        return min(self.fetch_at, self.renew_at, self.probe_at)

    def interval_changed(self) -> float:
        """React to another interval of reading; return when the next step is."""
        kind = self.snapshot.kind if self.snapshot else None
        if kind in _READ_AGAIN and not self._trouble.active:
            self.fetch_at = now() + self._interval()
        return min(self.fetch_at, self.renew_at, self.probe_at)

    # -- what an operator asks for --------------------------------------------------------------

    def refresh(self) -> str:
        """Find out now whether Vault has something newer; nothing is made for that.

        Returns what is done: ``read`` again, ``look up`` the lease, or ``nothing`` for what cannot
        be asked for without making a new value.
        """
        kind = self.snapshot.kind if self.snapshot else None
        if self.lease is not None:
            self.probe_at = -math.inf
            return "look up"
        again = kind is None or kind in (*_READ_AGAIN, SecretKind.STATIC_ROLE)
        if again and (self.request.operation is not Operation.WRITE or kind is None):
            self.fetch_at = -math.inf
            return "read"
        return "nothing"

    @property
    def rotates(self) -> bool:
        """Whether a new value can be had from Vault by asking, as of a lease or a certificate."""
        return self.snapshot is not None and self.snapshot.kind in MINTED

    def rotate(self) -> float:
        """Have a new value made, published beside the old one, which keeps its own end.

        Returns 0, or for how many seconds the mint budget puts it off: then nothing is done.
        """
        wait_s = 0.0 if due(self._mature_at) else self._context.budgets.wait_s(self.request)
        if not wait_s:
            self.fetch_at = -math.inf
        return wait_s

    # -- fetching -------------------------------------------------------------------------------

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

    def _manner(self) -> Manner:
        """Return how to ask: in a time, and with an urgency, that follow what is left."""
        left = self.left_s()
        patience = 2.0 ** min(self._trouble.attempts, 16)
        return Manner(
            limit_s=max(left / 2, _SHORTEST_FETCH_S * patience),
            urgency=Urgency.ORDINARY if math.isinf(left) else Urgency.EXPIRING,
        )

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

    def _retry_delay(self, error: VaultError, attempt: int) -> float:
        rng, left = self._context.rng, self.left_s()
        if isinstance(error, VaultUnavailable) and error.interrupted:
            return rng.random() * spread_s(left)
        if left > 0:
            delay = min(RETRY.delay(attempt, rng), max(left / 4, _SHORTEST_RETRY_S))
        else:
            delay, left = _URGENT_RETRY.delay(attempt, rng), math.inf
        if isinstance(error, VaultUnavailable) and error.retry_after_s is not None:
            return max(delay, min(error.retry_after_s, left / 2))
        return delay

    def left_s(self) -> float:
        """Return for how long the present value works; 0 or less when it does not."""
        if self.snapshot is None:
            return 0.0
        lifetime = self.snapshot.lifetime
        end = min(lifetime.expires_at, self._context.tokens.end_of(lifetime.token_serial))
        return end - now()

    def _until(self) -> dict[str, object]:
        if self.snapshot is None:
            return {}
        return {"good_until": iso(self.snapshot.lifetime.expires_at) or "it is replaced"}

    # -- adopting an answer ---------------------------------------------------------------------

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

    def _show(self, response: VaultResponse, life: Life, end: float, serial: int) -> Snapshot:
        redactor.protect(self.request, strings_in(response.data))
        self.snapshot = Snapshot(
            request=self.request,
            kind=life.kind,
            response=response,
            generation=self.snapshot.generation + 1 if self.snapshot else 1,
            issued_at=now(),
            lifetime=Lifetime(expires_at=end, token_serial=serial if response.lease_id else 0),
        )
        return self.snapshot

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

    def _plan(self, response: VaultResponse, life: Life, serial: int) -> None:
        context, at = self._context, now()
        self.lease, self.renew_at, self.probe_at = None, math.inf, math.inf
        self._mature_at = at + life.duration_s * _MATURE_AT
        self._renewal_trouble.recovered()
        if life.kind in (SecretKind.STATIC, SecretKind.LIST):
            self.fetch_at = at + self._interval()
        elif life.kind is SecretKind.STATIC_ROLE:
            # Between rotations it is read like KV, so that a rotation by hand is noticed.
            question = self._rotation.next_question(at, context.rng.random())
            self.fetch_at = min(question, at + self._interval())
        elif math.isinf(life.duration_s):
            self.fetch_at = math.inf
        elif life.renewable:
            after = renew_after(life.duration_s, context.overlap_s, context.rng)
            self._ripe_at = at + after
            # Leases of one deployment are renewed all over the time they have, not all at its end.
            self.renew_at = at + after * context.rng.uniform(1 - FIRST_SPREAD, 1.0)
            self.fetch_at = at + life.duration_s * (1 - _SAFETY_NET)
        else:
            after = rotate_after(life, context.overlap_s, context.rng)
            self.fetch_at = at + max(after, self._pause_for_dead(life))
        if response.lease_id:
            self._expected_life_s = 0.0 if math.isinf(life.duration_s) else life.duration_s
            self.lease = SecretLease(response.lease_id, life.duration_s, serial)
            self._plan_probe(0.0, 1.0)
            if serial != context.tokens.serial:
                self.fetch_at = at  # a login overtook us: this lease dies with the old token

    def _interval(self) -> float:
        # A write is done once: its answer has no end, and repeating it would change Vault.
        interval = self._context.interval_of(self.request)
        if interval == 0 or self.request.operation is Operation.WRITE:
            return math.inf
        # The first time anywhere in the interval, so that a deployment does not read in step.
        return interval * self._context.rng.uniform(0.9 if self.snapshot else 0.0, 1.0)

    def _pause_for_dead(self, life: Life) -> float:
        """Return the least pause after an answer: 0, unless it had ended on arrival."""
        if life.duration_s >= _SHORTEST_LIFE_S:
            if life.kind is SecretKind.CERTIFICATE:
                self._lost_in_a_row = 0
            return 0.0
        self._lost_in_a_row += 1
        return _LOST_AGAIN.delay(self._lost_in_a_row - 1, self._context.rng)

    def _plan_probe(self, earliest: float = 0.9, latest: float = 1.0) -> None:
        interval = self._context.probe_interval_s
        part = self._context.rng.uniform(earliest, latest)
        self.probe_at = now() + interval * part if interval else math.inf

    # -- renewing -------------------------------------------------------------------------------

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
        if truncated:
            # Max TTL is near and what remains can only get shorter: make the successor now, but
            # not long before a lease of such a life would have been renewed anyway.
            latest = at + renew_after(granted_s, context.overlap_s, context.rng)
            self.renew_at, self.fetch_at = math.inf, min(max(at, self._ripe_at), latest)
            return
        self.renew_at = at + renew_after(granted_s, context.overlap_s, context.rng)
        if not self._outlived(lease):  # else its successor is due, whatever was granted
            self.fetch_at = at + granted_s * (1 - _SAFETY_NET)
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

    # -- probing --------------------------------------------------------------------------------

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
        pause = 0.0 if again == 0 else _LOST_AGAIN.delay(again - 1, self._context.rng)
        self.fetch_at = now() + pause


_CAPABILITY = {
    Operation.READ: "read",
    Operation.WRITE: "update",
    Operation.LIST: "list",
}
