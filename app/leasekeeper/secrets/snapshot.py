"""What is known of a secret at one moment: immutable, shared by every output that uses it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.response import VaultResponse

REMEMBERED_RENEWALS = 16
"""Of each lease and token: what a time line can show."""


class SecretKind(StrEnum):
    """What governs the life of a secret; decided by the answer, not by the path."""

    LEASED = "leased"
    STATIC_ROLE = "static_role"
    CERTIFICATE = "certificate"
    STATIC = "static"  # KV and everything else without an end of its own
    LIST = "list"


@dataclass(slots=True, kw_only=True)
class Lifetime:
    """How long one generation works: the one thing about it that changes, by renewals.

    *expires_at* is loop time in seconds, ``math.inf`` for never. *token_serial* names the login
    whose token created the lease, because a lease dies with its token; 0 when there is no lease.
    *renewed_at* are the loop times of the newest of its *renewals*.
    """

    expires_at: float = math.inf
    token_serial: int = 0
    renewals: int = 0
    renewed_at: tuple[float, ...] = ()

    def renewed(self, expires_at: float, *, at: float) -> None:
        """Note a renewal at loop time *at*, which moved the end to *expires_at*."""
        self.expires_at = expires_at
        self.renewals += 1
        self.renewed_at = (*self.renewed_at, at)[-REMEMBERED_RENEWALS:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One generation of a secret. All its fields come from one response of Vault (promise P1).

    *generation* counts the values of this request in this process, from 1.
    """

    request: SecretRequest
    kind: SecretKind
    response: VaultResponse = field(repr=False)
    generation: int
    issued_at: float
    lifetime: Lifetime = field(default_factory=Lifetime, compare=False)
