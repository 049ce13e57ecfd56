"""A bound on new values of one secret, for when something keeps taking them away.

Rotation by plan is free. What is replaced early, asked for at a start, or asked for without ever
seeing the answer is charged, so a crash loop, an operator's script that revokes in a loop, or a
gateway that swallows answers cannot fill the database with users.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from leasekeeper.errors import MintBudgetSpent, VaultError, VaultUnavailable
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.settings.durations import format_duration

# A gateway's "bad gateway" and "gateway timeout": Vault may have done what it was asked.
_LOST_ANSWER = (0, 502, 504)
# Who has waited as told must not be told to wait for a rounding error.
_ROUNDING_S = 0.01


async def _nothing() -> None:
    return


def _never_sent(error: VaultError) -> bool:
    return isinstance(error, VaultUnavailable) and error.never_sent


class MintBudgets:
    """One bucket for each request: *count* values at once, then one per *window_s* / *count*.

    *spent* is what each request had spent *spent_ago_s* seconds ago, in the last run.
    *before_mint* is awaited between the charge and the request, so that it can be made durable.
    `minting` holds the requests that have been sent and not been answered.
    """

    def __init__(
        self,
        count: int,
        window_s: float,
        *,
        spent: Mapping[SecretRequest, float] | None = None,
        spent_ago_s: float = 0.0,
        before_mint: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._count = count
        self._window_s = window_s
        self._levels = {
            request: (level, now() - spent_ago_s) for request, level in (spent or {}).items()
        }
        self._before_mint = before_mint
        self.minting: set[SecretRequest] = set()

    def spent(self) -> dict[SecretRequest, float]:
        """Return how much of its budget each request has spent; what is whole is left out."""
        levels = {request: self._level(request) for request in self._levels}
        return {request: level for request, level in levels.items() if level > 0}

    @asynccontextmanager
    async def mint(self, request: SecretRequest, *, planned: bool) -> AsyncIterator[None]:
        """Let the block ask for a new value; free when it is *planned*.

        :raises MintBudgetSpent: if the budget is spent; `wait_s` says for how long.
        """
        charge = 0.0 if planned else 1.0
        if charge:
            self._charge(request)
        self.minting.add(request)
        await self._before_mint()
        try:
            yield
        except VaultError as error:
            self.minting.discard(request)
            if error.status not in _LOST_ANSWER or _never_sent(error):
                self._add(request, -charge)
            raise
        # Not after a cancellation: nobody knows what Vault did then.
        self.minting.discard(request)

    def refund(self, request: SecretRequest) -> None:
        """Take back the charge for what turned out to be no new value."""
        self._add(request, -1.0)

    def wait_s(self, request: SecretRequest) -> float:
        """Return in how many seconds *request* may have a new value; 0 for now."""
        missing = self._level(request) + 1 - self._count
        wait = missing * self._window_s / self._count
        return wait if wait > _ROUNDING_S else 0.0

    def _charge(self, request: SecretRequest) -> None:
        if self.wait_s(request) > 0:
            window = format_duration(self._window_s)
            raise MintBudgetSpent(
                f"{request.operation.value} {request.path!r} is put off: it has had "
                f"{self._count} new values before their time within {window}",
                hint="something takes them away or keeps restarting this process; "
                "secrets.mint_budget sets the bound",
                operation=request.operation.value,
                path=request.path,
            )
        self._add(request, 1.0)

    def _add(self, request: SecretRequest, amount: float) -> None:
        self._levels[request] = (max(self._level(request) + amount, 0.0), now())

    def _level(self, request: SecretRequest) -> float:
        level, since = self._levels.get(request, (0.0, now()))
        return max(level - (now() - since) * self._count / self._window_s, 0.0)
