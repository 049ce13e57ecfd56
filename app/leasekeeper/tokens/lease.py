"""A token as Vault granted it, and the arithmetic of its life. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from leasekeeper.vault.response import AuthData, WrapInfo

# Renew when a third of the remaining life is left: two more tries fit in before the end.
RENEW_AT = 2 / 3
# By how much of its time jitter brings something forward. What was made in the same minute, by a
# deployment, is renewed all over the time that it has; once spread it stays so. A replacement in
# time costs a login and new leases, so it comes forward by less.
FIRST_SPREAD, SPREAD, REPLACE_SPREAD = 0.9, 0.1, 0.25
# Vault answers in whole seconds, so a full renewal may look one second short.
ROUNDING_S = 1.0
# What a time line can show.
REMEMBERED_RENEWALS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLease:
    """A login as Vault granted it; renewals give a new record of the same *serial*.

    Times are loop times in seconds. *increment_s* is what the login granted and what renewals ask
    for. *issued_at* is when the login was, *renewed_at* are the newest of the *renewals*.
    *final* means that no renewal can extend this token any further: it is a batch token, it is
    not renewable, or its last renewal came back short because max TTL is near. With *wrapping*
    the token is not ours to use: it is for whoever unwraps it.
    """

    client_token: str = field(repr=False)
    serial: int
    accessor: str
    increment_s: float
    renewable: bool
    final: bool
    issued_at: float
    granted_at: float
    expires_at: float
    renewals: int = 0
    renewed_at: tuple[float, ...] = ()
    wrapping: WrapInfo | None = None

    @classmethod
    def of_login(cls, auth: AuthData, *, serial: int, granted_at: float) -> TokenLease:
        """Return the lease of a fresh login; a duration of 0 means that it never ends."""
        duration = float(auth.lease_duration_s)
        endless = duration <= 0
        renewable = auth.renewable and auth.token_type != "batch" and not endless
        return cls(
            client_token=auth.client_token,
            serial=serial,
            accessor=auth.accessor,
            increment_s=duration,
            renewable=renewable,
            final=not renewable and not endless,
            issued_at=granted_at,
            granted_at=granted_at,
            expires_at=math.inf if endless else granted_at + duration,
            wrapping=auth.wrapping,
        )

    def renewed(self, granted_s: float, *, at: float) -> TokenLease:
        """Return the lease after a renewal that granted *granted_s* seconds."""
        # 0 is less than a second, rounded down: what had an end never loses it by a renewal.
        granted_s = max(granted_s, 0.0)
        short = granted_s + min(ROUNDING_S, self.increment_s / 2) < self.increment_s
        return replace(
            self,
            granted_at=at,
            expires_at=at + granted_s,
            final=short,
            renewals=self.renewals + 1,
            renewed_at=(*self.renewed_at, at)[-REMEMBERED_RENEWALS:],
        )

    def ended_by_policy(self) -> TokenLease:
        """Return the lease after Vault refused to renew it: it goes on to its end, no further."""
        return replace(self, renewable=False, final=math.isfinite(self.expires_at))

    def renew_at(self, jitter: float) -> float:
        """Return when to renew; *jitter* in [0, 1) brings it forward by up to a tenth, and the
        first time by up to nine tenths.
        """
        if not self.renewable or self.final:
            return math.inf
        part = 1 - jitter * (FIRST_SPREAD if self.renewals == 0 else SPREAD)
        return self.granted_at + (self.expires_at - self.granted_at) * RENEW_AT * part

    def replace_at(self, overlap_s: float, jitter: float) -> float:
        """Return when to log in again ahead of the end of a token that cannot be extended.

        Never later than at two thirds of what remains, and early enough that *overlap_s* is left
        for minting, publishing and the application, as far as half of what remains allows; *jitter*
        in [0, 1) brings it forward by up to a quarter.
        """
        if not self.final:
            return math.inf
        remaining = self.expires_at - self.granted_at
        lead = max(remaining * (1 - RENEW_AT), min(overlap_s, remaining / 2))
        return self.granted_at + (remaining - lead) * (1 - jitter * REPLACE_SPREAD)
