"""How long an answer of Vault is good for, read off the answer. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from leasekeeper.secrets.request import Operation
from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.vault.client import whole
from leasekeeper.vault.response import VaultResponse

# Renew when a third of the remaining life is left, as for tokens.
RENEW_AT = 2 / 3
# The first renewal of a lease comes forward by up to this part of its time: see tokens/lease.py.
FIRST_SPREAD = 0.9
# A lease that cannot be renewed is replaced somewhere between these parts of its life.
ROTATE_FROM, ROTATE_TO = 0.85, 0.95
# Certificates are replaced around nine tenths of their life, a few percent apart in a fleet.
CERTIFICATE_AT, CERTIFICATE_SPREAD = 0.90, 0.03
# Vault answers in whole seconds, so a full renewal may look one second short.
ROUNDING_S = 1.0

# What Vault has made for the one who asked: asking again makes another.
MINTED = frozenset({SecretKind.LEASED, SecretKind.CERTIFICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The life of one answer: its *kind*, and *duration_s* from now, ``math.inf`` for endless."""

    kind: SecretKind
    duration_s: float = math.inf
    renewable: bool = False


def life_of(response: VaultResponse, operation: Operation, *, wall_s: float) -> Life:
    """Classify *response*, received at wall time *wall_s* (seconds since 1970).

    The answer decides, never the path: a lease id makes a lease; ``last_vault_rotation`` makes a
    static role; ``certificate`` with ``expiration`` makes a certificate; a secret id brings its
    ``secret_id_ttl``. Everything else has no end of its own, KV v1 included, whose
    ``lease_duration`` is only the mount's default TTL.
    """
    data = response.data or {}
    if response.lease_id:
        seconds = response.lease_duration_s
        duration = float(seconds) if seconds > 0 else math.inf
        return Life(kind=SecretKind.LEASED, duration_s=duration, renewable=response.renewable)
    if data.get("last_vault_rotation") and "ttl" in data:
        return Life(kind=SecretKind.STATIC_ROLE, duration_s=float(whole(data["ttl"])))
    if "certificate" in data and whole(data.get("expiration")) > 0:
        left = whole(data["expiration"]) - wall_s
        return Life(kind=SecretKind.CERTIFICATE, duration_s=max(left, 0.0))
    if "secret_id" in data and whole(data.get("secret_id_ttl")) > 0:
        return Life(kind=SecretKind.LEASED, duration_s=float(whole(data["secret_id_ttl"])))
    kind = SecretKind.LIST if operation is Operation.LIST else SecretKind.STATIC
    return Life(kind=kind)


def same_value(kind: SecretKind, old: VaultResponse, new: VaultResponse) -> bool:
    """Whether *new* brings nothing that an output could show.

    A static role is identified by its last rotation: its ``ttl`` counts down in every answer, and
    some servers reset it before they have rotated. Leases are always new.
    """
    if kind is SecretKind.LEASED:
        return False
    if kind is SecretKind.STATIC_ROLE:
        return _rotation(old.data) == _rotation(new.data)
    return old.data == new.data


def is_truncated(granted_s: float, asked_s: float) -> bool:
    """Whether a renewal came back short, so that max TTL is near; rounding is no shortage."""
    return granted_s + min(ROUNDING_S, asked_s / 2) < asked_s


def _rotation(data: dict[str, Any] | None) -> object:
    return (data or {}).get("last_vault_rotation")


def renew_after(remaining_s: float, overlap_s: float, rng: Random) -> float:
    """Return in how many seconds a renewable lease is to be renewed.

    At two thirds of what remains, or earlier so that *overlap_s* would be left for a rotation if
    the renewal came back short, as far as half of what remains allows; minus up to a tenth.
    """
    lead = max(remaining_s * (1 - RENEW_AT), min(overlap_s, remaining_s / 2))
    return (remaining_s - lead) * (1 - rng.random() / 10)


def rotate_after(life: Life, overlap_s: float, rng: Random) -> float:
    """Return in how many seconds an answer that cannot be renewed is to be replaced."""
    if life.kind is SecretKind.CERTIFICATE:
        part = CERTIFICATE_AT + rng.uniform(-CERTIFICATE_SPREAD, CERTIFICATE_SPREAD)
    else:
        part = rng.uniform(ROTATE_FROM, ROTATE_TO)
    return min(life.duration_s * part, life.duration_s - min(overlap_s, life.duration_s / 2))
