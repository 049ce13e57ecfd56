"""A model of Vault for many clients at once: it grants, counts, and goes away.

It answers at once and without HTTP or JSON, because what is measured is *when* a fleet asks. It
knows what decides that: TTL, max TTL, that leases end with their token, and whether Vault is there.
`benchmarks.fleet.check` compares its counts with those of a real server.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from random import Random

from leasekeeper.errors import VaultDenied, VaultRejected, VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.vault.client import Mount
from leasekeeper.vault.reachability import Reachability
from leasekeeper.vault.response import AuthData, VaultResponse

_KV = VaultResponse(data={"data": {"value": "1"}, "metadata": {"version": 1}})
_MOUNTS = {"secret": Mount("secret/", "kv", 2), "learn": Mount("learn/database/", "database", 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What Vault grants, in seconds."""

    token_ttl: float
    token_max_ttl: float
    lease_ttl: float
    lease_max_ttl: float


@dataclass(slots=True)
class Grant:
    """A token, or a lease of *token*."""

    began: float
    end: float
    last_end: float
    token: Grant | None = None

    @property
    def over_at(self) -> float:
        """When it stops working."""
        return self.end if self.token is None else min(self.end, self.token.end)

    def extend(self, ttl: float) -> int:
        """Let it live for another *ttl*, as far as its max TTL allows; return for how long."""
        self.end = min(now() + ttl, self.last_end)
        return round(self.end - now())


class ModelVault:
    """Counts requests in *counts*, by kind and whole second, answered or not."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.down = False
        self.counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.tokens: dict[str, Grant] = {}
        self.leases: dict[str, Grant] = {}
        self.newest: dict[ModelClient, Grant] = {}
        self.gaps: list[tuple[float, float]] = []
        """When the lease of a client had ended, and when it had another."""

    def count(self, kind: str) -> None:
        self.counts[kind][int(now())] += 1

    def log_in(self) -> tuple[str, int]:
        at, terms = now(), self.terms
        end = at + min(terms.token_ttl, terms.token_max_ttl)
        name = f"token-{len(self.tokens)}"
        self.tokens[name] = Grant(at, end, at + terms.token_max_ttl)
        return name, round(end - at)

    def mint(self, path: str, client: ModelClient) -> tuple[str, int]:
        at, terms = now(), self.terms
        if client in self.newest and (over_at := self.newest[client].over_at) < at:
            self.gaps.append((over_at, at))
        end = at + min(terms.lease_ttl, terms.lease_max_ttl)
        name = f"{path}/{len(self.leases)}"
        lease = Grant(at, end, at + terms.lease_max_ttl, self.tokens[client.token])
        self.leases[name] = self.newest[client] = lease
        return name, round(end - at)

    def close(self) -> None:
        """Note whose lease has ended, and who has no other."""
        ends = (lease.over_at for lease in self.newest.values())
        self.gaps.extend((end, math.inf) for end in ends if end < now())


class ModelClient:
    """The face of `VaultClient` that keepers see, over a `ModelVault`. One for each task."""

    clock_offset_s = None

    def __init__(self, vault: ModelVault, rng: Random) -> None:
        self._vault = vault
        self.token = ""
        self.token_serial = 0
        self.reachability = Reachability(self._ask_health, rng)

    def on_token_use(self, _listener: object) -> None:
        """Tell nobody: a token of the model may be used for ever."""

    def use_token(self, token: str | None, serial: int) -> None:
        self.token, self.token_serial = token or "", serial

    async def login(self, _mount: str, _body: object) -> VaultResponse:
        self._ask("login")
        name, ttl = self._vault.log_in()
        return VaultResponse(
            auth=AuthData(client_token=name, accessor=name, lease_duration_s=ttl, renewable=True)
        )

    async def lookup_token(self, **_limit: float) -> VaultResponse:
        token = self._authorised("lookup token")
        return VaultResponse(data={"ttl": str(round(token.end - now()))})

    async def renew_token(self, increment_s: float, **_limit: float) -> VaultResponse:
        token = self._authorised("renew token")
        granted = token.extend(increment_s)
        auth = AuthData(client_token=self.token, lease_duration_s=granted, renewable=True)
        return VaultResponse(auth=auth)

    async def read(self, path: str, _manner: object) -> VaultResponse:
        if path.startswith("secret/"):
            self._authorised("read")
            return _KV
        self._authorised("mint")
        name, ttl = self._vault.mint(path, self)
        data = {"username": name}
        return VaultResponse(lease_id=name, lease_duration_s=ttl, renewable=True, data=data)

    async def mount_of(self, path: str) -> Mount:
        self._authorised("find mount")
        return _MOUNTS[path.partition("/")[0]]

    async def renew_lease(
        self, lease_id: str, increment_s: float, **_limit: float
    ) -> VaultResponse:
        granted = self._lease("renew lease", lease_id).extend(increment_s)
        return VaultResponse(lease_id=lease_id, lease_duration_s=granted, renewable=True)

    async def lookup_lease(self, lease_id: str, **_limit: float) -> VaultResponse:
        self._lease("lookup lease", lease_id)
        return VaultResponse(data={})

    async def _ask_health(self) -> bool:
        self._vault.count("health")
        return not self._vault.down

    def _ask(self, kind: str) -> None:
        self._vault.count(kind)
        if self._vault.down:
            error = VaultUnavailable("Vault cannot be reached")
            error.unreachable = True
            self.reachability.doubt(error)
            raise error
        self.reachability.seen()

    def _authorised(self, kind: str) -> Grant:
        serial = self.token_serial
        self._ask(kind)
        token = self._vault.tokens.get(self.token)
        if token is None or token.end <= now():
            error = VaultDenied("permission denied", status=403, errors=("permission denied",))
            error.token_serial = serial
            raise error
        return token

    def _lease(self, kind: str, lease_id: str) -> Grant:
        self._authorised(kind)
        lease = self._vault.leases[lease_id]
        if lease.over_at <= now():
            raise VaultRejected("lease not found", status=400, errors=("lease not found",))
        return lease
