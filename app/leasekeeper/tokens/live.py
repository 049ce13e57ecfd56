"""The live token: what is known of it, and when something is to be done for it. Asks nobody."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from leasekeeper.errors import (
    AuthError,
    VaultError,
    VaultUnavailable,
)
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import due, now
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.tokens.lease import ROUNDING_S, TokenLease
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.reachability import spread_s

if TYPE_CHECKING:
    from leasekeeper.tokens.saved import SavedToken

# A token that was found good is not looked up again for this long, however many 403s arrive:
# a policy error on a hundred paths must not become a hundred lookups.
GOOD_FOR_S = 5.0
# The ends of earlier tokens are remembered, because leases on disk still die with them.
REMEMBERED_TOKENS = 8
# Time limits of renewals and lookups follow what is left of the token: there is to be time for
# another try, and a lookup that hangs keeps the renewal waiting.
_SHORTEST_LIMIT_S = 2.0
# While a token of the last run is not confirmed, it is looked up this often at least.
_UNPROVEN_PROBE_S = 5.0
# The last use of a token that may be used so often only ends it, and all that it has made. So it is
# replaced while this part of its uses is left for what is on its way; but not before two rounds of
# lookups, because logins that make as much as they can would follow each other.
_USES_KEPT, _ROUNDS, _ROUND_S = 1 / 3, 2, 30.0
# A login whose token is refused at once must not turn into a login loop.
QUICK_END = Backoff(minimum_s=1.0, maximum_s=60.0)


class LiveToken:
    """Holds the token that is in use, and the ends of those before."""

    def __init__(
        self,
        client: VaultClient,
        method: AuthMethod,
        *,
        backoff: Backoff,
        overlap_s: float,
        probe_interval_s: float,
        rng: random.Random,
        exit_on_error: bool = False,
        saved: SavedToken | None = None,
    ) -> None:
        self._client = client
        self._method = method
        self._backoff = backoff
        self._overlap_s = overlap_s
        self._probe_interval_s = probe_interval_s
        self._rng = rng
        self._exit_on_error = exit_on_error
        self._live = asyncio.Event()
        self._wake = asyncio.Event()
        self._verifying = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._on_change: Callable[[], None] = _nothing
        self._saved = saved
        self._ends: dict[int, float] = {}
        self._serial = 0
        self._renew_at = self._replace_at = self._probe_at = math.inf
        self._good_until = -math.inf
        self._quick_ends = 0
        self._uses_left, self._uses_kept = math.inf, 0
        self._login_trouble = Trouble("token.login", method=method.describe())
        self._renewal_trouble = Trouble("token.renewal")
        self._inherited = False
        self.lease: TokenLease | None = None
        self.policies: tuple[str, ...] = ()
        self.proven = True
        self.disowned: str | None = None
        self.denied_since: float | None = None
        client.reachability.on_return(self._retry_now)
        client.on_token_use(self._used)

    @property
    def error(self) -> AuthError | VaultError | None:
        """Why there is no (new) token, while logging in fails."""
        error = self._login_trouble.error or self._renewal_trouble.error
        return error if isinstance(error, AuthError | VaultError) else None

    @property
    def serial(self) -> int:
        """The number of the live token; 0 before the first login."""
        return self.lease.serial if self.lease else 0

    @property
    def resumed(self) -> bool:
        """Whether the live token is the one that `saved` told of."""
        saved, lease = self._saved, self.lease
        return saved is not None and lease is not None and saved.client_token == lease.client_token

    @property
    def next_action(self) -> tuple[str, float]:
        """What comes next, and when (loop time): ``renewal``, ``login`` or ``none``."""
        at = min(self._renew_at, self._replace_at)
        if self.lease is None:
            return ("login", -math.inf)
        if math.isinf(at) and at > 0:
            return ("none", at)
        return ("renewal" if at == self._renew_at else "login", at)

    @property
    def handover_at(self) -> float:
        """Loop time of the login ahead of the present token's end; ``math.inf`` if none is due."""
        return self._replace_at if self.lease is not None else math.inf

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the live token is another, or has another end."""
        self._on_change = listener

    def on_login(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every login."""
        self._listeners.append(listener)

    async def ready(self) -> None:
        """Return when there is a live token in the client."""
        await self._live.wait()

    def end_of(self, serial: int) -> float:
        """Return the loop time at which token number *serial* ends; a forgotten one has ended."""
        return math.inf if serial == 0 else self._ends.get(serial, -math.inf)

    def too_short_for(self, duration_s: float) -> bool:
        """Whether a lease of *duration_s* should not be made under the present token.

        True when the token cannot be extended, would end before the lease, and is in the second
        half of its life, so that a fresh token is really better. Then `replace` is called for.
        """
        lease = self.lease
        if lease is None or not lease.final:
            return False
        left = lease.expires_at - now()
        return left < duration_s and left < lease.increment_s / 2

    def replace(self) -> None:
        """Log in again now, ahead of plan; the old token stays valid until it ends."""
        self._replace_at = -math.inf
        self._wake.set()

    def aged(self, seconds: float) -> None:
        """React to *seconds* that have passed unnoticed; look the token up at once."""
        self._ends = {serial: end - seconds for serial, end in self._ends.items()}
        self._renew_at -= seconds
        self._replace_at -= seconds
        self._good_until = -math.inf
        if self.lease is not None:
            lease = self.lease
            self.lease = replace(
                lease,
                issued_at=lease.issued_at - seconds,
                granted_at=lease.granted_at - seconds,
                expires_at=lease.expires_at - seconds,
            )
            if math.isfinite(self._probe_at):
                self._probe_at = now()
        self._wake.set()

    def _retry_now(self) -> None:
        extensible = self.lease is not None and self.lease.renewable and not self.lease.final
        if self._renewal_trouble.active and extensible:
            self._renew_at = -math.inf
        self._login_trouble.start_over()
        self._renewal_trouble.start_over()
        if not self.proven:
            self._probe_at = -math.inf
        if self.lease is None:
            self._wake.set()
        else:  # it still works: let those go first who have none
            spread = spread_s(self._left_s())
            asyncio.get_running_loop().call_later(self._rng.random() * spread, self._wake.set)

    # -- holding a token ---------------------------------------------------------------------------

    def _take(self, lease: TokenLease, *, proven: bool = True) -> None:
        """Use *lease*'s token from now on; one that is not *proven* is looked up when possible."""
        redactor.protect("token", [lease.client_token])
        if lease.wrapping is None:
            self._client.use_token(lease.client_token, lease.serial)
        self.proven = proven
        self._good_until = -math.inf
        self._replace_at = math.inf
        self._hold(lease)
        # Anywhere in the interval: tokens of one deployment are not looked up in the same second.
        self._probe_at = now() + self._probe_pause() * self._rng.random()
        if lease.wrapping is not None:
            self._probe_at = math.inf
        self._live.set()

    def _hold(self, lease: TokenLease) -> None:
        """Make *lease* the live one and plan what comes next.

        Of one token, a login that is planned or was asked for comes no later than it would have.
        """
        self.lease = lease
        self._renew_at = lease.renew_at(self._rng.random())
        planned = lease.replace_at(self._overlap_s, self._rng.random())
        self._replace_at = min(self._replace_at, planned, self._worn_at())
        self._ends[lease.serial] = lease.expires_at
        for serial in sorted(self._ends)[:-REMEMBERED_TOKENS]:
            del self._ends[serial]
        self._on_change()

    def _limit_uses(self, uses: int) -> None:
        """Note that the live token may be used *uses* times; 0 is without a limit."""
        self._uses_left = uses or math.inf
        self._uses_kept = int(uses * _USES_KEPT)

    def _used(self) -> None:
        """Count a request that carries the live token."""
        self._have_left(self._uses_left - 1)

    def _note_uses(self, uses: int) -> None:
        """Believe Vault when it says that fewer *uses* are left: others may have the token, too."""
        if math.isinf(self._uses_left):
            self._limit_uses(uses)  # it may be one of the last run, taken over without an answer
        elif 0 < uses < self._uses_left:
            self._have_left(uses)

    def _have_left(self, uses: float) -> None:
        enough, self._uses_left = self._uses_left > self._uses_kept, uses
        if enough and uses <= self._uses_kept:
            self._replace_at = min(self._replace_at, self._worn_at())
            self._wake.set()

    def _worn_at(self) -> float:
        """Return when to log in again because few uses are left; ``math.inf`` while many are."""
        if self.lease is None or self._uses_left > self._uses_kept:
            return math.inf
        return self.lease.issued_at + _ROUNDS * (self._probe_interval_s or _ROUND_S)

    def _drop_if_ended(self) -> None:
        if self.lease is not None and due(self.lease.expires_at):
            self._drop()

    def _drop(self) -> None:
        """Forget the live token: it has ended."""
        if self.lease is None:
            return
        self._ends[self.lease.serial] = min(self.lease.expires_at, now())
        young = now() - self.lease.granted_at < QUICK_END.maximum_s
        early = self._left_s() > ROUNDING_S  # one that ended as granted is not suspicious
        self._quick_ends = self._quick_ends + 1 if young and early else 0
        self.lease = None
        self._live.clear()
        self.proven = True
        self._client.use_token(None, 0)
        self._on_change()
        self._wake.set()

    def _found_good(self, lease: TokenLease) -> bool:
        """Note that *lease*'s token is good; whether it is still the live one."""
        if self.serial != lease.serial:
            return False
        self._good_until = now() + GOOD_FOR_S
        self.proven = True
        return True

    def _note_ttl(self, lease: TokenLease, ttl_s: int) -> None:
        """Believe Vault when it says that the token ends earlier than was granted."""
        end = now() + ttl_s
        if lease is self.lease and ttl_s > 0 and end < lease.expires_at - 2 * ROUNDING_S:
            self._hold(replace(lease, expires_at=end))

    # -- how long to wait --------------------------------------------------------------------------

    def _probe_pause(self) -> float:
        interval = self._probe_interval_s or math.inf
        return interval if self.proven else min(interval, _UNPROVEN_PROBE_S)

    def _left_s(self) -> float:
        """Return for how long the live token lives; ``math.inf`` if there is none."""
        return math.inf if self.lease is None else self.lease.expires_at - now()

    def _patience_s(self) -> float:
        """Return for how long to wait for an answer about the live token."""
        return max(self._left_s() / 4, _SHORTEST_LIMIT_S)

    def _retry_delay(self, error: AuthError | VaultError, attempt: int) -> float:
        left = self._left_s()
        if isinstance(error, VaultUnavailable) and error.interrupted:
            return self._rng.random() / 2
        if not self._client.reachability.up:
            return self._backoff.maximum_s  # its return wakes us
        # A quarter of what is left: four more tries before the old token ends.
        soon = max(left / 4, self._backoff.minimum_s)
        delay = min(self._backoff.delay(attempt, self._rng), soon)
        if isinstance(error, VaultUnavailable) and error.retry_after_s is not None:
            return max(delay, min(error.retry_after_s, left / 2))
        return delay


def _nothing() -> None:
    return
