"""What an event says so that it can be found in Vault's own audit log.

The key is Vault's request id, which its audit log has in plain text. Accessors are logged as they
are; the audit log has their HMAC, which ``sys/audit-hash`` computes. A lease is told by the
beginning of its id's SHA-256, since whoever has the id and a policy for it can revoke it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def lease_hash(lease_id: str) -> str:
    """Return what stands for *lease_id* in events: 16 hexadecimal digits."""
    return hashlib.sha256(lease_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def of_answer(request_id: str, lease_id: str = "") -> dict[str, str]:
    """Return the fields of an event about one answer of Vault."""
    found = {"request_id": request_id} if request_id else {}
    return {**found, "lease": lease_hash(lease_id)} if lease_id else found


def of_answers(request_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the fields of an event about something that was made from several answers."""
    found = sorted({each for each in request_ids if each})
    return {"request_ids": found} if found else {}
