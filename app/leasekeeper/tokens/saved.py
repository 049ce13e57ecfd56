"""The token of the last run: what is kept of it, and whether to go on with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from leasekeeper.errors import VaultDenied, VaultError, VaultUnavailable
from leasekeeper.tokens.keeper import is_policy
from leasekeeper.tokens.lease import TokenLease
from leasekeeper.vault.client import VaultClient, whole

# Longer than a slow answer takes; while Vault is silent, what is saved is used as it is.
_PATIENCE_S = 5.0
# There is no going on with a token that ends while one looks at it.
_SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedToken:
    """A token with its end in wall time (seconds since 1970, ``math.inf`` for never)."""

    client_token: str = field(repr=False)
    accessor: str
    policies: tuple[str, ...]
    increment_s: float
    renewable: bool
    final: bool
    expires_wall: float

    @classmethod
    def of(
        cls, lease: TokenLease, policies: tuple[str, ...], *, at: float, wall: float
    ) -> SavedToken:
        """Return what is to be kept of *lease* at loop time *at*, which is wall time *wall*."""
        return cls(
            client_token=lease.client_token,
            accessor=lease.accessor,
            policies=policies,
            increment_s=lease.increment_s,
            renewable=lease.renewable,
            final=lease.final,
            expires_wall=wall + lease.expires_at - at,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "token": self.client_token,
            "accessor": self.accessor,
            "policies": list(self.policies),
            "increment_s": self.increment_s,
            "renewable": self.renewable,
            "final": self.final,
            "expires": None if math.isinf(self.expires_wall) else self.expires_wall,
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> SavedToken:
        """Read what `to_json` has made.

        :raises KeyError, TypeError, ValueError: if it is something else.
        """
        return cls(
            client_token=_text(told["token"]),
            accessor=_text(told["accessor"]),
            policies=tuple(map(_text, told["policies"])),
            increment_s=float(told["increment_s"]),
            renewable=told["renewable"] is True,
            final=told["final"] is True,
            expires_wall=math.inf if told["expires"] is None else float(told["expires"]),
        )

    def lease(self, *, serial: int, at: float, wall: float) -> TokenLease:
        """Return the lease as the clock on the wall sees it, never longer than was granted."""
        left = self.expires_wall - wall
        if math.isfinite(left) and self.increment_s > 0:
            left = min(left, self.increment_s)
        return TokenLease(
            client_token=self.client_token,
            serial=serial,
            accessor=self.accessor,
            increment_s=self.increment_s,
            renewable=self.renewable,
            final=self.final,
            issued_at=at,
            granted_at=at,
            expires_at=at + left,
        )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What Vault says of a saved token. *lease* is what to go on with, or None and *reason* why.

    *proven* when Vault has confirmed it; *alive* when it lives, whether or not it is used; *uses*
    is how often it may still be used, 0 for without a limit.
    """

    lease: TokenLease | None = None
    reason: str = ""
    proven: bool = True
    alive: bool = False
    uses: int = 0


async def examine(client: VaultClient, saved: SavedToken, *, at: float, wall: float) -> Finding:
    """Ask Vault about *saved*; while it cannot be asked, the clock on the wall decides."""
    lease = saved.lease(serial=1, at=at, wall=wall)
    left = lease.expires_at - at
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = await client.lookup_token(saved.client_token)
    except (VaultUnavailable, TimeoutError):
        if left <= _SHORTEST_S:
            return Finding(reason="it has ended by the clock, and Vault cannot be asked")
        return Finding(lease=lease, proven=False)
    except VaultDenied as error:
        if not is_policy(error):
            return Finding(reason="Vault refuses it: it was revoked, or has ended")
    except VaultError:
        pass  # a gateway without this endpoint says nothing about the token
    else:
        return _judged(saved, lease, answer.data or {}, at=at)
    if left <= _SHORTEST_S:
        return Finding(reason="it has ended by the clock", alive=True)
    return Finding(lease=lease, alive=True)


def _judged(saved: SavedToken, lease: TokenLease, data: Mapping[str, Any], *, at: float) -> Finding:
    told = data.get("policies")
    policies = {str(each) for each in told} if isinstance(told, list) else set(saved.policies)
    if policies != set(saved.policies):
        return Finding(reason="its policies have changed", alive=True)
    ttl = whole(data.get("ttl"))
    if ttl > 0:
        uses = whole(data.get("num_uses"))
        return Finding(lease=replace(lease, expires_at=at + ttl), alive=True, uses=uses)
    if math.isinf(lease.expires_at):
        return Finding(lease=lease, alive=True)
    return Finding(reason="it ends within the second", alive=True)
