"""A Vault in memory, in virtual time: it replaces the wire, so that the real client is tested.

It keeps tokens and leases as Vault does (TTL, max TTL, a lease dies with its token), counts
requests, and breaks on demand. `tests/component/test_fake_vault.py` checks its answers against
a real server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from leasekeeper.errors import VaultUnavailable
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.response import JsonNumber
from leasekeeper.vault.transport import Reply, Transport


@dataclass
class FakeToken:
    name: str
    ttl: float
    max_ttl: float
    created: float
    expires: float
    kind: str = "service"
    period: float = 0
    renewable: bool = True
    revoked: bool = False
    uses: int = 0


@dataclass
class FakeLease:
    lease_id: str
    token: FakeToken
    ttl: float
    max_ttl: float
    created: float
    expires: float
    renewable: bool
    revoked: bool = False


@dataclass
class Fault:
    """Answers matching requests with *status*, or drops them when it is None."""

    matches: Callable[[str, str], bool]
    status: int | None
    times: float = math.inf
    errors: tuple[str, ...] = ("injected",)
    headers: dict[str, str] = field(default_factory=dict)


_SPENT = (
    "Secret cannot be returned; token had one use left, so leased credentials were immediately "
    "revoked."
)


class FakeVault(Transport):
    """The wire and the server behind it."""

    def __init__(self) -> None:
        super().__init__(VaultSection(address="http://fake:8200"))
        self._ids = itertools.count(1)
        self.tokens: dict[str, FakeToken] = {}
        self.leases: dict[str, FakeLease] = {}
        self.by_user: dict[str, FakeLease] = {}
        self.kv1: dict[str, dict[str, Any]] = {}
        self.kv2: dict[str, dict[str, Any]] = {}
        self.kv2_deleted: set[str] = set()
        self.kv2_destroyed: set[str] = set()
        self.static_roles: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[float, str, str]] = []
        self.faults: list[Fault] = []
        self.down = False
        self.black_hole = False  # whatever is sent meanwhile is never answered, not even later
        self.token_ttl, self.token_max_ttl = 60.0, math.inf
        self.token_uses = 0
        self.token_kind, self.token_period, self.token_renewable = "service", 0.0, True
        self.lease_ttl, self.lease_max_ttl, self.lease_renewable = 30.0, 90.0, True
        self.denied_paths: set[str] = set()
        self.latency_s = 0.001

    # -- what tests look at

    def count(self, method: str, path: str) -> int:
        """Return how many requests began with *path*."""
        return sum(m == method and p.startswith(path) for _, m, p in self.requests)

    def counts(self) -> Counter[str]:
        return Counter(f"{method} {path}" for _, method, path in self.requests)

    def live_leases(self) -> list[FakeLease]:
        return [lease for lease in self.leases.values() if self._lease_lives(lease)]

    def live_tokens(self) -> list[FakeToken]:
        return [token for token in self.tokens.values() if self._token_lives(token)]

    def valid(self, username: str) -> bool:
        """Whether the credential with this user name would be accepted now."""
        return self._lease_lives(self.by_user[username])

    def fail(self, path: str, status: int | None, times: float = math.inf, **more: Any) -> Fault:
        """Break requests whose path begins with *path*, *times* times."""
        fault = Fault(lambda _method, asked: asked.startswith(path), status, times, **more)
        self.faults.append(fault)
        return fault

    def revoke_lease(self, lease: FakeLease) -> None:
        lease.revoked = True

    def revoke_token(self, name: str) -> None:
        self.tokens[name].revoked = True

    def age(self, seconds: float) -> None:
        """Let *seconds* pass here and nowhere else."""
        for grant in (*self.tokens.values(), *self.leases.values()):
            grant.created -= seconds
            grant.expires -= seconds

    # -- the wire

    async def _exchange(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        data: bytes | None,
        *,
        alone: bool = False,
    ) -> Reply:
        path = url.raw_path_qs.removeprefix("/v1/")
        if path.endswith("?list=true"):
            method, path = "LIST", path.removesuffix("?list=true")
        token = headers.get("X-Vault-Token")
        self.requests.append((self._now(), method, path))
        await asyncio.sleep(self.latency_s)
        if self.black_hole:
            await asyncio.Event().wait()
        if self.down:
            error = VaultUnavailable("Vault at http://fake:8200 cannot be reached")
            error.unreachable = error.never_sent = True
            raise error
        for fault in self.faults:
            if fault.times > 0 and fault.matches(method, path):
                fault.times -= 1
                if fault.status is None:
                    error = VaultUnavailable("Vault at http://fake:8200 did not answer")
                    error.unreachable = True
                    raise error
                return _reply(fault.status, {"errors": list(fault.errors)}, fault.headers)
        return self._serve(method, path, token, json.loads(data) if data else {})

    async def close(self) -> None:
        return

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _token_lives(self, token: FakeToken) -> bool:
        return not token.revoked and token.expires > self._now()

    def _lease_lives(self, lease: FakeLease) -> bool:
        return not lease.revoked and lease.expires > self._now() and self._token_lives(lease.token)

    # -- the server

    def _serve(self, method: str, path: str, name: str | None, body: dict[str, Any]) -> Reply:
        if path.startswith("sys/health"):
            return _reply(200, {"initialized": True})
        if path.endswith("/login") and method == "POST":
            return self._login()
        token = self.tokens.get(name or "")
        if token is None or not self._token_lives(token):
            return _reply(403, {"errors": ["permission denied"]})
        answer = self._answer_to(method, path, token, body)
        if token.uses == 1:  # the last use ends it, and what it has made
            token.revoked = True
            if path.startswith(("database/creds/", "sys/leases/renew")):
                return _reply(400, {"errors": [_SPENT]})
        token.uses -= token.uses > 0
        return answer

    def _answer_to(self, method: str, path: str, token: FakeToken, body: dict[str, Any]) -> Reply:
        if any(path.startswith(denied) for denied in self.denied_paths):
            return _reply(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
        if path.startswith("auth/token/"):
            return self._token_api(path.rpartition("/")[2], token, body)
        if path.startswith("sys/leases/"):
            return self._lease_api(path.rpartition("/")[2], body)
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("sys/internal/ui/mounts/"))
        return self._secret(method, path, token)

    def _login(self) -> Reply:
        now = self._now()
        ttl = self.token_period or self.token_ttl
        token = FakeToken(
            name=f"hvs.canary-{next(self._ids)}",
            ttl=ttl,
            max_ttl=math.inf if self.token_period else self.token_max_ttl,
            created=now,
            expires=now + min(ttl, self.token_max_ttl if not self.token_period else ttl),
            kind=self.token_kind,
            period=self.token_period,
            renewable=self.token_renewable and self.token_kind != "batch",
            uses=self.token_uses,
        )
        self.tokens[token.name] = token
        return _reply(200, {"auth": self._auth(token)})

    def _auth(self, token: FakeToken) -> dict[str, Any]:
        return {
            "client_token": token.name,
            "accessor": "" if token.kind == "batch" else f"acc-{token.name[-3:]}",
            "policies": ["default", "product"],
            "token_policies": ["default", "product"],
            "metadata": None,
            "lease_duration": round(token.expires - self._now()),
            "renewable": token.renewable,
            "token_type": token.kind,
            "num_uses": self.token_uses,
        }

    def _token_api(self, what: str, token: FakeToken, body: dict[str, Any]) -> Reply:
        now = self._now()
        if what == "renew-self":
            if token.kind == "batch":
                return _reply(400, {"errors": ["batch tokens cannot be renewed"]})
            if not token.renewable:
                return _reply(400, {"errors": ["lease is not renewable"]})
            asked = float(str(body.get("increment") or token.ttl).rstrip("s"))
            token.expires = min(now + (token.period or asked), token.created + token.max_ttl)
            return _reply(200, {"auth": self._auth(token)})
        if what == "revoke-self":
            token.revoked = True
            return _reply(204, None)
        left = {"num_uses": token.uses and token.uses - 1}
        return _reply(
            200, {"data": {"ttl": round(token.expires - now), "type": token.kind, **left}}
        )

    def _lease_api(self, what: str, body: dict[str, Any]) -> Reply:
        lease = self.leases.get(body.get("lease_id", ""))
        if what == "revoke":
            if lease is not None:
                lease.revoked = True
            return _reply(204, None)
        if lease is None or not self._lease_lives(lease):
            said = "lease not found" if what == "renew" else "invalid lease"
            return _reply(400, {"errors": [said]})
        if what == "lookup":
            return _reply(200, {"data": self._about(lease)})
        if not lease.renewable:
            return _reply(400, {"errors": ["lease is not renewable"]})
        lease.expires = self._end(lease, float(body.get("increment") or lease.ttl))
        left = round(lease.expires - self._now())
        return _reply(
            200,
            {
                "lease_id": lease.lease_id,
                "lease_duration": left,
                "renewable": lease.renewable,
                "data": None,
            },
        )

    def _end(self, lease: FakeLease, wish: float) -> float:
        """Return when a lease ends that is to live *wish* seconds from now."""
        end = min(self._now() + wish, lease.created + lease.max_ttl)
        # A batch token cannot be renewed, so nothing that it makes may be promised for longer.
        return min(end, lease.token.expires) if lease.token.kind == "batch" else end

    def _about(self, lease: FakeLease) -> dict[str, Any]:
        return {
            "id": lease.lease_id,
            "expire_time": "some day",
            "renewable": lease.renewable,
            "ttl": math.ceil(lease.expires - self._now()),
        }

    def _mount(self, path: str) -> Reply:
        engines = {"secret": ("kv", "2"), "kv": ("kv", "1"), "database": ("database", None)}
        engine, version = engines.get(path.partition("/")[0], (None, None))
        if engine is None:
            said = "please ensure client's policies grant access to path"
            error = f'preflight capability check returned 403, {said} "{path}/"'
            return _reply(403, {"errors": [error]})
        options = {"version": version} if version else None
        data = {"path": path.partition("/")[0] + "/", "type": engine, "options": options}
        return _reply(200, {"data": data})

    def _secret(self, method: str, path: str, token: FakeToken) -> Reply:
        if path.startswith("database/creds/"):
            return self._credentials(path, token)
        if path.startswith("database/static-creds/"):
            name = path.rpartition("/")[2]
            role = self.static_roles.get(name)
            if role is None:
                return _reply(400, {"errors": [f"unknown role: {name}"]})
            return _reply(200, {"data": role})
        if method == "LIST":
            below = path.removeprefix("secret/metadata/").removeprefix("kv/").strip("/") + "/"
            names = self.kv2 if path.startswith("secret/") else self.kv1
            keys = sorted(n.removeprefix(below) for n in names if n.startswith(below))
            return _reply(200, {"data": {"keys": keys}}) if keys else _reply(404, {"errors": []})
        if path.startswith("secret/data/"):
            return self._kv2(path.removeprefix("secret/data/"))
        data = self.kv1.get(path.removeprefix("kv/"))
        if data is None:
            return _reply(404, {"errors": []})
        return _reply(200, {"lease_duration": 2764800, "data": data})

    def _kv2(self, name: str) -> Reply:
        data = self.kv2.get(name)
        if data is None:
            return _reply(404, {"errors": []})
        if name in self.kv2_deleted | self.kv2_destroyed:
            when = "a while ago" if name in self.kv2_deleted else ""
            destroyed = name in self.kv2_destroyed
            metadata = {"version": 1, "deletion_time": when, "destroyed": destroyed}
            return _reply(404, {"data": {"data": None, "metadata": metadata}})
        return _reply(200, {"data": {"data": data, "metadata": {"version": 1}}})

    def _credentials(self, path: str, token: FakeToken) -> Reply:
        now, number = self._now(), next(self._ids)
        username = f"v-user-{number}"
        lease = FakeLease(
            lease_id=f"{path}/{username}",
            token=token,
            ttl=self.lease_ttl,
            max_ttl=self.lease_max_ttl,
            created=now,
            expires=now,
            renewable=self.lease_renewable,
        )
        lease.expires = self._end(lease, self.lease_ttl)
        self.leases[lease.lease_id] = self.by_user[username] = lease
        return _reply(
            200,
            {
                "lease_id": lease.lease_id,
                "lease_duration": round(lease.expires - now),
                "renewable": lease.renewable,
                "data": {"username": username, "password": f"canary-password-{number}"},
            },
        )


def _reply(status: int, body: object, headers: dict[str, str] | None = None) -> Reply:
    # Through JSON and back: the client must see numbers as it sees them from a real server.
    decoded = json.loads(json.dumps(body), parse_int=JsonNumber, parse_float=JsonNumber)
    return Reply(status, headers or {}, decoded or {})
