"""A secret of the last run: what is kept of it, and whether to go on with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from leasekeeper.errors import SecretNotFound, VaultError, VaultRejected, VaultUnavailable
from leasekeeper.secrets.lifetime import MINTED
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.vault.client import VaultClient, whole
from leasekeeper.vault.decoding import response_of
from leasekeeper.vault.response import VaultResponse

_PATIENCE_S = 5.0
# A value with less than this is as good as gone.
_SHORTEST_S = 1.0
# How Vault says that a lease does not exist. It answers 400 to a renewal that the database
# refuses, too, and there are gateways that refuse the whole endpoint: neither ends a lease.
_GONE = ("lease not found", "invalid lease", "lease expired", "lease is expired")


def is_gone(error: VaultError) -> bool:
    """Whether Vault says that the lease does not exist."""
    return isinstance(error, VaultRejected | SecretNotFound) and any(
        words in said for said in error.errors for words in _GONE
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSecret:
    """One value. Times are wall times in seconds since 1970, ``math.inf`` for never.

    *of_token*: its lease hangs on the token that is saved with it. *fetch_wall* is when a
    successor was planned, *mature_wall* from when on it costs nothing of the mint budget.
    """

    request: SecretRequest
    kind: SecretKind
    response: VaultResponse = field(repr=False)
    increment_s: float
    of_token: bool
    expires_wall: float
    fetch_wall: float
    mature_wall: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; its response is encoded by `vault.encoding`."""
        return {
            "request": request_to_json(self.request),
            "kind": self.kind.value,
            "response": self.response,
            "increment_s": _number(self.increment_s),
            "of_token": self.of_token,
            "expires": _number(self.expires_wall),
            "fetch": _number(self.fetch_wall),
            "mature": _number(self.mature_wall),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> SavedSecret:
        """Read what `to_json` has made.

        :raises KeyError, TypeError, ValueError: if it is something else.
        """
        if not isinstance(told["response"], dict):
            raise TypeError
        return cls(
            request=request_of_json(told["request"]),
            kind=SecretKind(told["kind"]),
            response=response_of(told["response"]),
            increment_s=_finite(told["increment_s"]),
            of_token=told["of_token"] is True,
            expires_wall=_finite(told["expires"]),
            fetch_wall=_finite(told["fetch"]),
            mature_wall=_finite(told["mature"]),
        )


def request_to_json(request: SecretRequest) -> list[Any]:
    """Return *request* as JSON."""
    return [request.operation.value, request.path, [list(pair) for pair in request.arguments]]


def request_of_json(told: Any) -> SecretRequest:
    """Read what `request_to_json` has made."""
    operation, path, arguments = told
    return SecretRequest(
        Operation(operation), str(path), tuple((str(key), str(value)) for key, value in arguments)
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite(value: Any) -> float:
    return math.inf if value is None else float(value)


class Verdict(Enum):
    """What to do with a saved secret."""

    ADOPT = "adopt"  # it is good
    PROVISIONAL = "provisional"  # nobody can say, so it is used until somebody can
    ASK = "ask"  # Vault tells the newest value for nothing
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and for how many seconds the value is good."""

    verdict: Verdict
    left_s: float = 0.0
    reason: str = ""


async def examine(
    client: VaultClient, tokens: TokenKeeper, saved: SavedSecret, *, wall: float
) -> Finding:
    """Find out whether *saved* is still good; there is a live token.

    A lease is looked up. What Vault tells again for nothing is asked again. What it would make
    anew (a certificate, the answer of a write) is good until its own end.
    """
    left = saved.expires_wall - wall
    if saved.response.lease_id:
        if math.isfinite(left):
            left = min(left, saved.increment_s)  # the clock on the wall may have been set back
        if not (saved.of_token and tokens.resumed):
            return Finding(Verdict.GONE, reason="its token is not the one in use")
        return await _look_up(client, tokens, saved, left)
    if left <= _SHORTEST_S:
        return Finding(Verdict.GONE, reason="it has ended")
    away = not (tokens.proven and client.reachability.up)
    if saved.kind in MINTED or saved.request.operation is Operation.WRITE:
        return Finding(Verdict.ADOPT, left)
    return Finding(Verdict.PROVISIONAL if away else Verdict.ASK, left)


async def _look_up(
    client: VaultClient, tokens: TokenKeeper, saved: SavedSecret, left: float
) -> Finding:
    unknown = (
        Finding(Verdict.PROVISIONAL, left)
        if left > _SHORTEST_S
        else Finding(Verdict.GONE, reason="it has ended by the clock")
    )
    if not tokens.proven:
        return unknown
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = await client.lookup_lease(saved.response.lease_id)
    except (VaultUnavailable, TimeoutError):
        return unknown
    except VaultError as error:
        return Finding(Verdict.GONE, reason="it was revoked") if is_gone(error) else unknown
    ttl = whole((answer.data or {}).get("ttl"))
    return Finding(Verdict.ADOPT, float(ttl) if ttl > 0 else left)
