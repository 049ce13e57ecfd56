"""Keeping one live token: log in, renew, and log in again ahead of the end.

The place where the token is held is `tokens.live`; `run` is the loop that refills it. Everyone
else awaits `ready` and reports refusals to `verify`. Ten refusals of one token cause one lookup
and at most one login.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
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
from leasekeeper.runtime.clock import due, iso, now
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import LOGINS
from leasekeeper.tokens.lease import TokenLease
from leasekeeper.tokens.live import QUICK_END, LiveToken
from leasekeeper.vault.client import whole
from leasekeeper.vault.response import AuthData, VaultResponse

if TYPE_CHECKING:
    from leasekeeper.tokens.saved import SavedToken


class TokenKeeper(LiveToken):
    """Owns the live token. *on_login* listeners run right after each login."""

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

    async def close(self) -> None:
        """Let go of what the auth method holds."""
        await self._method.close()

    # -- the loop ----------------------------------------------------------------------------------

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
        self._limit_uses(found.uses)
        self._take(found.lease, proven=found.proven)
        log.info(
            "token.adopted",
            accessor=saved.accessor,
            proven=found.proven,
            expires=iso(found.lease.expires_at),
        )
        for listener in self._listeners:
            listener()

    # -- logging in --------------------------------------------------------------------------------

    async def _log_in(self) -> None:
        """Log in, trying until it works. The old token stays in use for as long as it lives."""
        if self.lease is None and self._quick_ends > 1:
            # One revocation is healed at once, a series is not fed.
            await asyncio.sleep(QUICK_END.delay(self._quick_ends - 2, self._rng))
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
        self._limit_uses(auth.num_uses)
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
                "or logins and new leases follow each other, and what the token has made ends "
                "early when the uses are spent within two probe intervals",
            )
        if not same:
            for listener in self._listeners:
                listener()

    # -- renewing and probing ----------------------------------------------------------------------

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
            data = answer.data or {}
            self._note_uses(whole(data.get("num_uses")))
            self._note_ttl(lease, whole(data.get("ttl")))
        return True


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
