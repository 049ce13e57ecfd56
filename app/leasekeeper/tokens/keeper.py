"""Keeping one live token: log in, renew, and log in again ahead of the end.

The loop that refills and the place where the token is held are two things: `run` is the loop,
everyone else asks `TokenKeeper.ready` and reports refusals to `verify`. Ten refusals of one
token cause one lookup and at most one login.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, NoReturn

from leasekeeper.errors import (
    AuthError,
    AwsCredentialsError,
    LoginDenied,
    VaultDenied,
    VaultError,
    VaultUnavailable,
)
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import due, iso, now
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import LOGINS
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.tokens.lease import ROUNDING_S, TokenLease
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.vault.client import VaultClient, whole
from leasekeeper.vault.reachability import spread_s
from leasekeeper.vault.response import AuthData, VaultResponse

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
# A login whose token is refused at once must not turn into a login loop.
_QUICK_END = Backoff(minimum_s=1.0, maximum_s=60.0)


class TokenKeeper:
    """Owns the live token. *on_login* listeners run right after each login."""

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
        self._login_trouble = Trouble("token.login", method=method.describe())
        self._renewal_trouble = Trouble("token.renewal")
        self._inherited = False
        self.lease: TokenLease | None = None
        self.policies: tuple[str, ...] = ()
        self.proven = True
        self.disowned: str | None = None
        self.denied_since: float | None = None
        client.reachability.on_return(self._retry_now)

    # -- what others ask ------------------------------------------------------------------------

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

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the live token is another, or has another end."""
        self._on_change = listener

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

    async def verify(self, refusal: VaultDenied) -> bool:
        """Find out whether *refusal* was about the token. True: it was, and there is a new one.

        False means that the token is good, so its policy does not allow the path.

        :raises VaultUnavailable: if the token could not be looked up.
        """
        async with self._verifying:
            if refusal.token_serial == self.serial and self._live.is_set():
                if now() < self._good_until:
                    return False
                if await self._look_up():
                    self._renew_inheritance()
                    return False
        # Not inside the lock: the loop that logs in may be waiting for it.
        await self.ready()
        return True

    def _renew_inheritance(self) -> None:
        """Log in once when a token of the last run is not allowed something: the policy of the
        role may have changed since.
        """
        if self._inherited:
            self._inherited = False
            self.replace()

    async def revoke(self) -> None:
        """Revoke the live token, and with it every lease it created; nothing if there is none, or
        it is wrapped for somebody else.

        :raises VaultError: if Vault did not do it.
        """
        if self.lease is not None and self.lease.wrapping is None:
            accessor = self.lease.accessor
            await self._client.revoke_token()
            self._drop()
            log.info("token.revoked", accessor=accessor)

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

    async def close(self) -> None:
        """Let go of what the auth method holds."""
        await self._method.close()

    # -- the loop -------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Keep a live token. Never returns.

        :raises AuthError, VaultError: if a login fails and the process is to end then.
        """
        if self._saved is not None:
            await self._resume(self._saved)
        while True:
            self._wake.clear()
            self._drop_if_ended()
            lease = self.lease
            if lease is None or due(self._replace_at):
                await self._log_in()
            elif due(self._renew_at):
                await self._renew(lease)
            elif due(self._probe_at):
                await self._probe()
            else:
                at = min(self._renew_at, self._replace_at, self._probe_at, lease.expires_at)
                await self._pause(at - now())

    async def _pause(self, seconds: float) -> None:
        """Wait for *seconds*, or until something wakes the loop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._wake.wait()

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

    async def _resume(self, saved: SavedToken) -> None:
        """Go on with the token of the last run, if it is still good."""
        if self._method.name == "token_file":
            return  # the file says which token to use
        from leasekeeper.tokens.saved import examine

        found = await examine(self._client, saved, at=now(), wall=time())
        if found.lease is None:
            log.warning("token.not_adopted", accessor=saved.accessor, reason=found.reason)
            self.disowned = saved.client_token if found.alive else None
            return
        self._serial, self._inherited = found.lease.serial, True
        self.policies = saved.policies
        self._take(found.lease, proven=found.proven)
        log.info(
            "token.adopted",
            accessor=saved.accessor,
            proven=found.proven,
            expires=iso(found.lease.expires_at),
        )
        for listener in self._listeners:
            listener()

    def _take(self, lease: TokenLease, *, proven: bool = True) -> None:
        """Use *lease*'s token from now on; one that is not *proven* is looked up when possible."""
        redactor.protect("token", [lease.client_token])
        if lease.wrapping is None:
            self._client.use_token(lease.client_token, lease.serial)
        self.proven = proven
        self._good_until = -math.inf
        self._hold(lease)
        # Anywhere in the interval: tokens of one deployment are not looked up in the same second.
        self._probe_at = now() + self._probe_pause() * self._rng.random()
        if lease.wrapping is not None:
            self._probe_at = math.inf
        self._live.set()

    # -- logging in -----------------------------------------------------------------------------

    async def _log_in(self) -> None:
        """Log in, trying until it works. The old token stays in use for as long as it lives."""
        if self.lease is None and self._quick_ends > 1:
            # One revocation is healed at once, a series is not fed.
            await asyncio.sleep(_QUICK_END.delay(self._quick_ends - 2, self._rng))
        self._login_trouble.start_over()
        while True:
            try:
                auth = await self._method.login(self._client)
            except (AuthError, VaultError) as error:
                self._note_failed_login(error)
                if self._exit_on_error:
                    raise
                pause = self._retry_delay(error, self._login_trouble.attempts - 1)
            else:
                LOGINS.inc("ok")
                self._adopt(auth)
                return
            self._drop_if_ended()
            self._wake.clear()
            await self._pause(min(pause, self._left_s()))
            self._drop_if_ended()

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

    def _note_failed_login(self, error: AuthError | VaultError) -> None:
        denied = isinstance(error, LoginDenied)
        if not denied:
            self.denied_since = None
        elif self.denied_since is None:
            self.denied_since = now()
        LOGINS.inc(_login_result(error))
        self._login_trouble.failed(error)

    def _adopt(self, auth: AuthData) -> None:
        old, at = self.lease, now()
        same = old is not None and old.client_token == auth.client_token
        if not same:
            self._serial += 1
        lease = TokenLease.of_login(auth, serial=self._serial, granted_at=at)
        self.denied_since = None
        self._inherited = False
        self.policies = auth.token_policies or auth.policies
        self._login_trouble.recovered()
        self._renewal_trouble.recovered()
        self._take(lease)
        if same and lease.final:
            # A token file that has not been replaced yet: look again, but not in a loop.
            self._replace_at = at + max((lease.expires_at - at) / 4, self._backoff.minimum_s)
        log.info(
            "token.login_succeeded",
            method=self._method.describe(),
            accessor=auth.accessor,
            ttl_s=auth.lease_duration_s,
            renewable=lease.renewable,
            policies=list(auth.policies or auth.token_policies),
            **audit.of_answer(auth.request_id),
        )
        if auth.num_uses > 0:
            log.warning(
                "token.uses_limited",
                uses=auth.num_uses,
                hint="every renewal and every probe is a use; set token_num_uses of the role to 0, "
                "or the token ends early and logins follow each other",
            )
        if not same:
            for listener in self._listeners:
                listener()

    def _hold(self, lease: TokenLease) -> None:
        """Make *lease* the live one and plan what comes next."""
        self.lease = lease
        self._renew_at = lease.renew_at(self._rng.random())
        self._replace_at = lease.replace_at(self._overlap_s, self._rng.random())
        self._ends[lease.serial] = lease.expires_at
        for serial in sorted(self._ends)[:-REMEMBERED_TOKENS]:
            del self._ends[serial]
        self._on_change()

    def _drop_if_ended(self) -> None:
        if self.lease is not None and due(self.lease.expires_at):
            self._drop()

    def _drop(self) -> None:
        """Forget the live token: it has ended."""
        if self.lease is None:
            return
        self._ends[self.lease.serial] = min(self.lease.expires_at, now())
        young = now() - self.lease.granted_at < _QUICK_END.maximum_s
        early = self._left_s() > ROUNDING_S  # one that ended as granted is not suspicious
        self._quick_ends = self._quick_ends + 1 if young and early else 0
        self.lease = None
        self._live.clear()
        self.proven = True
        self._client.use_token(None, 0)
        self._on_change()
        self._wake.set()

    # -- renewing and probing -------------------------------------------------------------------

    async def _renew(self, lease: TokenLease) -> None:
        try:
            limit_s = self._patience_s()
            answer = await self._client.renew_token(lease.increment_s, limit_s=limit_s)
        except VaultError as error:
            await self._renewal_failed(lease, error)
        else:
            if self.serial == lease.serial:  # else it was rejected while this was on its way
                self._renewed(lease, answer)

    async def _renewal_failed(self, lease: TokenLease, error: VaultError) -> None:
        if isinstance(error, VaultDenied):
            try:
                async with self._verifying:
                    await self._look_up()
            except VaultUnavailable as unavailable:
                error = unavailable
        if self.serial != lease.serial:
            return
        if isinstance(error, VaultUnavailable):
            self._renewal_trouble.failed(error, expires=iso(lease.expires_at))
            self._renew_at = now() + self._retry_delay(error, self._renewal_trouble.attempts - 1)
        else:
            self._give_up_renewing(lease, error)

    def _renewed(self, lease: TokenLease, answer: VaultResponse) -> None:
        granted = answer.auth.lease_duration_s if answer.auth else 0
        self._renewal_trouble.recovered()
        self._quick_ends, self.proven = 0, True
        self._hold(lease.renewed(float(granted), at=now()))
        audited = audit.of_answer(answer.request_id)
        log.info("token.renewed", accessor=lease.accessor, ttl_s=granted, **audited)
        if self.lease is not None and self.lease.final:
            log.info(
                "token.handover_planned",
                accessor=lease.accessor,
                reason="max TTL is near: the renewal was granted less than asked for",
                login_in_s=round(self._replace_at - now(), 1),
                expires=iso(self.lease.expires_at),
            )

    def _give_up_renewing(self, lease: TokenLease, error: VaultError) -> None:
        self._hold(lease.ended_by_policy())
        log.warning(
            "token.renewal_refused",
            accessor=lease.accessor,
            error=error.message,
            hint="the token is used to its end and replaced in time; to have it renewed, allow "
            "update on auth/token/renew-self",
            expires=iso(lease.expires_at),
        )

    async def _probe(self) -> None:
        self._probe_at = now() + self._probe_pause() * self._rng.uniform(0.9, 1.0)
        with contextlib.suppress(VaultUnavailable):
            async with self._verifying:
                await self._look_up()

    def _probe_pause(self) -> float:
        interval = self._probe_interval_s or math.inf
        return interval if self.proven else min(interval, _UNPROVEN_PROBE_S)

    async def _look_up(self) -> bool:
        """Ask Vault about the live token; a bad one is dropped. Whether there is a good one.

        :raises VaultUnavailable: without an answer.
        """
        lease = self.lease
        if lease is None:
            return False
        try:
            answer = await self._client.lookup_token(limit_s=self._patience_s())
        except VaultUnavailable:
            raise
        except VaultDenied as error:
            if is_policy(error):
                self._found_good(lease)
                return True
            if self.serial == lease.serial:
                log.warning(
                    "token.rejected",
                    accessor=lease.accessor,
                    error=error.message,
                    hint="it was revoked, or has expired early; logging in again",
                )
                self._drop()
            return False
        except VaultError:
            # A gateway without this endpoint: nothing was said about the token, and Vault itself
            # refuses a bad token before it looks at the path.
            self._found_good(lease)
            return True
        if self._found_good(lease):
            self._note_ttl(lease, whole((answer.data or {}).get("ttl")))
        return True

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
            planned = self._replace_at
            self._hold(replace(lease, expires_at=end))
            self._replace_at = min(self._replace_at, planned)  # somebody may have asked for it


def _nothing() -> None:
    return


def is_policy(error: VaultDenied) -> bool:
    """Whether Vault knows the token, and only its policy lacks the path.

    Vault and OpenBao then say "1 error occurred: permission denied". Of a bad token they say
    "permission denied", and since Vault 1.16 "2 errors occurred: permission denied, invalid token".
    """
    return any(said.startswith("1 error occurred") for said in error.errors)


def _login_result(error: AuthError | VaultError) -> str:
    if isinstance(error, AwsCredentialsError):
        return "no_credentials"
    return "denied" if isinstance(error, LoginDenied) else "unavailable"
