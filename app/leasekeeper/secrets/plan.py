"""What is known of one secret, and what comes next for it. Asks nobody.

Three times say what comes next: `fetch_at` (a new value), `renew_at` (a later end for the same
value) and `probe_at` (does the lease still exist).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import time

from leasekeeper.errors import (
    MintBudgetSpent,
    VaultError,
    VaultUnavailable,
)
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import due, iso, now
from leasekeeper.secrets.budget import MintBudgets
from leasekeeper.secrets.lifetime import (
    FIRST_SPREAD,
    MINTED,
    Life,
    renew_after,
    rotate_after,
)
from leasekeeper.secrets.mounts import Mounts
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.secrets.rotation import RotationWatch
from leasekeeper.secrets.saved import Finding, SavedSecret, Verdict
from leasekeeper.secrets.snapshot import Lifetime, SecretKind, Snapshot
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.redaction import redactor, strings_in
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.reachability import LEISURE_S, SPREAD_S, spread_s
from leasekeeper.vault.response import VaultResponse
from leasekeeper.vault.transport import Manner, Urgency

RETRY = Backoff(minimum_s=1.0, maximum_s=60.0)
# While there is no value that works, an application is down: do not make it wait for a minute.
_URGENT_RETRY = Backoff(minimum_s=1.0, maximum_s=15.0)
# Leases that are lost again and again are not replaced in a loop: the first at once, then slower.
# The same for certificates that have ended on arrival.
LOST_AGAIN = Backoff(minimum_s=1.0, maximum_s=120.0)
# A last attempt at a new value when every renewal has failed: at five sixths of the lease's life.
SAFETY_NET = 1 / 6
# Time limits of requests follow what is left of a value, so that there is time for another try;
# but making one may really take long, so the next try is given twice the time.
_SHORTEST_FETCH_S = 10.0
# A static role's password is only read, and while an answer is waited for it may be changed.
_SHORTEST_READ_S = 2.0
# A lease that is gone is noticed on the way to its replacement; do not wait for less than this.
_SHORTEST_RETRY_S = 0.5
# What is read again at an interval is read together with what is due within this time before it:
# to wake up for each of a thousand secrets alone costs a quarter of what reading them does.
_TOGETHER_S = 0.05
# Every plan lets a value live for longer than this part of its life, jitter and overlap included.
_MATURE_AT = 0.4
# A certificate with less than this has ended on arrival: the issuer's clock or ours is off.
_SHORTEST_LIFE_S = 1.0

_READ_AGAIN = (SecretKind.STATIC, SecretKind.LIST)
_AT_INTERVALS = (*_READ_AGAIN, SecretKind.STATIC_ROLE)  # among other times


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


class SecretPlan:
    """The state of a keeper, and the times at which it has something to do."""

    def __init__(self, request: SecretRequest, context: KeeperContext) -> None:
        self._context = context
        self._trouble = Trouble("secret.fetch", secret=request.name)
        self._renewal_trouble = Trouble("lease.renewal", secret=request.name)
        self._lost_in_a_row = 0
        self._probe_refused = False
        # Whether the rest of a fleet asks at the same time: after a deployment, or an outage.
        self._in_step = True
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

    def left_s(self) -> float:
        """Return for how long the present value works; 0 or less when it does not."""
        if self.snapshot is None:
            return 0.0
        lifetime = self.snapshot.lifetime
        end = min(lifetime.expires_at, self._context.tokens.end_of(lifetime.token_serial))
        return end - now()

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

    # -- what wakes a keeper -----------------------------------------------------------------------

    def token_changed(self) -> bool:
        """React to a new token; True when there is something to do now.

        Leases die with the token that made them, so they are made anew under the new one while
        the old one still lives. Values without a lease are left alone.
        """
        needed = self._trouble.active or (self.lease is not None and self._outlived(self.lease))
        if needed:
            self.fetch_at = -math.inf
        return needed

    def vault_returned(self) -> float:
        """React to the end of an outage; return when the next step is.

        What had failed or was asked for (-inf) is done soon, the sooner the less is left, and what
        was planned and put off comes with more time: a fleet does not ask for everything in the
        same moment.
        """
        at, left, part = now(), self.left_s(), self._context.rng.random()
        soon, later = (at + part * spread_s(left, s) for s in (SPREAD_S, self._leisure_s()))
        if self._renewal_trouble.active:
            self.renew_at = soon
        elif due(self.renew_at):
            self.renew_at = later
        if self._trouble.active or self.fetch_at == -math.inf:
            self.fetch_at = soon
        elif due(self.fetch_at):
            self.fetch_at = later
        self._in_step = True
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
            self.fetch_at = self._next_read()
        return min(self.fetch_at, self.renew_at, self.probe_at)

    # -- what an operator asks for -----------------------------------------------------------------

    def refresh(self) -> str:
        """Find out now whether Vault has something newer; nothing is made for that.

        Returns what is done: ``read`` again, ``look up`` the lease, or ``nothing`` for what cannot
        be asked for without making a new value.
        """
        kind = self.snapshot.kind if self.snapshot else None
        if self.lease is not None:
            self.probe_at = -math.inf
            return "look up"
        again = kind is None or kind in _AT_INTERVALS
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

    # -- planning ----------------------------------------------------------------------------------

    def _plan(self, response: VaultResponse, life: Life, serial: int) -> None:
        context, at = self._context, now()
        self.lease, self.renew_at, self.probe_at = None, math.inf, math.inf
        self._mature_at = at + life.duration_s * _MATURE_AT
        self._renewal_trouble.recovered()
        if life.kind in (SecretKind.STATIC, SecretKind.LIST):
            self.fetch_at = self._next_read()
        elif life.kind is SecretKind.STATIC_ROLE:
            # Between rotations it is read like KV, so that a rotation by hand is noticed.
            question = self._rotation.next_question(at, context.rng.random())
            self.fetch_at = min(question, self._next_read())
        elif math.isinf(life.duration_s):
            self.fetch_at = math.inf
        elif life.renewable:
            after = renew_after(life.duration_s, context.overlap_s, context.rng)
            self._ripe_at = at + after
            # Leases of one deployment are renewed all over the time they have, not all at its end.
            self.renew_at = at + after * context.rng.uniform(1 - FIRST_SPREAD, 1.0)
            self.fetch_at = at + life.duration_s * (1 - SAFETY_NET)
        else:
            after = rotate_after(life, context.overlap_s, context.rng)
            self.fetch_at = at + max(after, self._pause_for_dead(life))
        if response.lease_id:
            self._expected_life_s = 0.0 if math.isinf(life.duration_s) else life.duration_s
            self.lease = SecretLease(response.lease_id, life.duration_s, serial)
            self._plan_probe(0.0, 1.0)
            if serial != context.tokens.serial:
                self.fetch_at = at  # a login overtook us: this lease dies with the old token

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

    def _next_read(self) -> float:
        """Return the loop time at which to ask again for what has no end."""
        # A write is done once: its answer has no end, and repeating it would change Vault.
        interval = self._context.interval_of(self.request)
        if interval == 0 or self.request.operation is Operation.WRITE:
            return math.inf
        earliest, self._in_step = 0.0 if self._in_step else 0.9, False
        at = now() + interval * self._context.rng.uniform(earliest, 1.0)
        together_s = min(interval / 100, _TOGETHER_S)
        return math.ceil(at / together_s) * together_s

    def _leisure_s(self) -> float:
        """Return for how long at most to put off what is overdue: a reading by one interval."""
        kind = self.snapshot.kind if self.snapshot else None
        if kind not in _AT_INTERVALS:
            return LEISURE_S
        return min(self._context.interval_of(self.request) or LEISURE_S, LEISURE_S)

    def _pause_for_dead(self, life: Life) -> float:
        """Return the least pause after an answer: 0, unless it had ended on arrival."""
        if life.duration_s >= _SHORTEST_LIFE_S:
            if life.kind is SecretKind.CERTIFICATE:
                self._lost_in_a_row = 0
            return 0.0
        self._lost_in_a_row += 1
        return LOST_AGAIN.delay(self._lost_in_a_row - 1, self._context.rng)

    def _plan_probe(self, earliest: float = 0.9, latest: float = 1.0) -> None:
        interval = self._context.probe_interval_s
        part = self._context.rng.uniform(earliest, latest)
        self.probe_at = now() + interval * part if interval else math.inf

    # -- how to ask --------------------------------------------------------------------------------

    def _outlived(self, lease: SecretLease) -> bool:
        """Whether *lease* ends with a token that is no longer in use."""
        return lease.token_serial != self._context.tokens.serial

    def _manner(self) -> Manner:
        """Return how to ask: in a time, and with an urgency, that follow what is left."""
        left = self.left_s()
        patience = 2.0 ** min(self._trouble.attempts, 16)
        limit_s = max(left / 2, _SHORTEST_FETCH_S * patience)
        if self.snapshot is not None and self.snapshot.kind is SecretKind.STATIC_ROLE:
            limit_s = _SHORTEST_READ_S * patience
        return Manner(
            limit_s=limit_s,
            urgency=Urgency.ORDINARY if math.isinf(left) else Urgency.EXPIRING,
        )

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

    def _until(self) -> dict[str, object]:
        if self.snapshot is None:
            return {}
        return {"good_until": iso(self.snapshot.lifetime.expires_at) or "it is replaced"}
