"""A source of one secret whose value is a number that counts its rotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.vault.response import VaultResponse

SECRET = SecretRequest.read("kv/a")


class NumberStore:
    """What `OutputLoop` wants of its store."""

    def __init__(self) -> None:
        self.number = 0
        self.listeners: list[Callable[[SecretRequest], None]] = []

    def snapshot(self, request: SecretRequest) -> Snapshot | None:
        return Snapshot(
            request=request,
            kind=SecretKind.STATIC,
            response=VaultResponse(data={"value": self.number}),
            generation=self.number + 1,
            issued_at=0,
        )

    def require(self, requests: Iterable[SecretRequest]) -> None:
        return None

    def subscribe(self, callback: Callable[[SecretRequest], None]) -> None:
        self.listeners.append(callback)

    def rotate(self) -> str:
        """Have a new value, and return it."""
        self.number += 1
        for listener in self.listeners:
            listener(SECRET)
        return str(self.number)
