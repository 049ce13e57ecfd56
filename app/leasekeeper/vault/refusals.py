"""What an answer that is not a success means: one error class for each way to go on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from leasekeeper.errors import (
    SecretNotFound,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.telemetry.redaction import Redactor, redactor, strings_in
from leasekeeper.vault.transport import Reply

# Vault Enterprise answers 412 while a replica has not caught up: the same request works soon.
_LATER_STATUSES = frozenset({412, 429})
# Statuses that say that nobody behind the address can serve now: sealed, standby, gateways.
_NOBODY_STATUSES = frozenset({502, 503, 504})
# A longer pause than this is asked for by mistake, or in a date, and would hide a recovery.
_LONGEST_PAUSE_S = 300.0
_IN_BETWEEN = (
    "something between Leasekeeper and Vault answered, a proxy or a load balancer; check it, and "
    "vault.address"
)
_COMPARE = (
    "compare the path with `vault kv get` or `vault read`; once it is written it is found by itself"
)
_AGAIN = "write it again, or undelete the version; it is found by itself"


def raise_for_status(reply: Reply, operation: str, path: str, body: object) -> None:
    """Raise what *reply* means, unless it is a success.

    The message quotes Vault, without any value that was sent in *body* and without live secrets.
    Nothing is quoted of an answer to a login: Vault may quote the secret id, or STS the signature.
    """
    status = reply.status
    if status < 300 and reply.from_vault:
        return
    login = operation == "login"
    # What explains a login's refusal (tokens.denials) quotes it with care of its own.
    errors = reply.errors if login else _masked(reply.errors, body)
    asked = f"{operation.replace('_', ' ')} {path!r}"
    said = "" if login else "; ".join(errors)
    message = f"{asked}: {status}" + (f" {said}" if said else "")
    error = _error(reply, operation, path, message)
    error.status, error.errors = status, errors
    raise error


def _error(reply: Reply, operation: str, path: str, message: str) -> VaultError:
    status = reply.status
    if not reply.from_vault or 300 <= status < 400:
        why = ": it is not JSON, or nothing that Vault says" if status < 300 else ""
        strange = _unavailable(reply, f"{message}, which is not Vault's answer{why}", _IN_BETWEEN)
        strange.code = "LK-VAULT-006"
        return strange
    if status == 403:
        return VaultDenied(message)
    if status == 404:
        what = {"read": f"no secret exists at {path}", "list": f"list {path!r}: there is nothing"}
        if operation not in what:
            return SecretNotFound(message)
        missing = SecretNotFound(_missing(reply, what[operation]), hint=_COMPARE)
        if (metadata := _metadata(reply)) is not None:  # of a version that has been deleted
            missing.code, missing.hint, missing.metadata = "LK-SECRET-003", _AGAIN, metadata
        return missing
    if status >= 500 or status in _LATER_STATUSES:
        sealed = any("sealed" in said for said in reply.errors)
        hint = "Vault is sealed: an operator has to unseal it" if sealed else None
        unavailable = _unavailable(reply, message, hint)
        if sealed:
            unavailable.code = "LK-VAULT-002"
        elif status == 429:
            unavailable.code = "LK-VAULT-009"
        return unavailable
    return VaultRejected(message)


def _unavailable(reply: Reply, message: str, hint: str | None) -> VaultUnavailable:
    error = VaultUnavailable(message, hint=hint)
    error.unreachable = not reply.from_vault or reply.status in _NOBODY_STATUSES
    error.retry_after_s = _pause(reply.headers)
    return error


def _pause(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, or None if it says nothing usable.

    A date counts from the answer's own ``Date``, so that our clock does not matter.
    """
    asked = headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST_PAUSE_S)
    until, sent = _date(asked), _date(headers.get("Date", ""))
    if until is None:
        return None
    return min(max(until - (time() if sent is None else sent), 0.0), _LONGEST_PAUSE_S)


def _date(text: str) -> float | None:
    try:
        seconds = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if math.isfinite(seconds) else None


def _missing(reply: Reply, what: str) -> str:
    if (metadata := _metadata(reply)) is not None:
        gone = "was destroyed" if metadata.get("destroyed") in (True, "true") else "was deleted"
        return f"{what}: version {metadata.get('version')} {gone}"
    said = "; ".join(_masked(reply.errors, None))  # no such mount, for example
    return f"{what}: {reply.status} {said}" if said else what


def _metadata(reply: Reply) -> dict[str, Any] | None:
    data = reply.body.get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    return metadata if isinstance(metadata, dict) else None


def _masked(errors: Iterable[str], body: object) -> tuple[str, ...]:
    sent = Redactor()
    sent.protect("sent", strings_in(body))
    return tuple(redactor.redact(sent.redact(error)) for error in errors)
