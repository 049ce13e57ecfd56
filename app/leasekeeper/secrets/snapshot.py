"""What is known of a secret at one moment: immutable, shared by every output that uses it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.response import VaultResponse


class SecretKind(StrEnum):
    """What governs the life of a secret; decided by the answer, not by the path."""

    LEASED = "leased"
    STATIC_ROLE = "static_role"
    CERTIFICATE = "certificate"
    STATIC = "static"  # KV and everything else without an end of its own
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One generation of a secret. All its fields come from one response of Vault (promise P1).

    *generation* counts the values of this request in this process, from 1. *expires_at* is the
    loop time, in seconds, at which the value itself stops working (``math.inf``: never); the
    effective end may be earlier, because a lease dies with the token that created it.
    """

    request: SecretRequest
    kind: SecretKind
    response: VaultResponse = field(repr=False)
    generation: int
    issued_at: float
    expires_at: float = math.inf
    token_accessor: str = ""
