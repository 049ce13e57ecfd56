"""One line when something starts to fail and one when it works again, not one per attempt."""

from __future__ import annotations

from leasekeeper.errors import AgentError
from leasekeeper.runtime.clock import now
from leasekeeper.telemetry.events import log


class Trouble:
    """Remembers a failure that lasts.

    The first failure, and one whose message differs from the last, is a warning; repeats are
    debug events; the recovery says how many there were and for how long.
    """

    def __init__(self, event: str, **fields: object) -> None:
        self._event = event
        self._fields = fields
        self.error: AgentError | None = None
        self.count = 0
        self.attempts = 0
        self._since = 0.0

    @property
    def active(self) -> bool:
        """Whether the last attempt failed."""
        return self.error is not None

    def failed(self, error: AgentError, **fields: object) -> None:
        """Note one failed attempt."""
        if self.error is None:
            self._since, self.count, self.attempts = now(), 0, 0
        known = self.error is not None and self.error.message == error.message
        self.error = error
        self.count += 1
        self.attempts += 1
        report = log.debug if known else log.warning
        details = {"error": error.message, "hint": error.hint, "code": error.code}
        if not error.hint:
            del details["hint"]
        report(f"{self._event}_failed", **self._fields, **details, **fields)

    def start_over(self) -> None:
        """Count `attempts` anew, for pauses that begin short again: circumstances have changed."""
        self.attempts = 0

    def recovered(self, **fields: object) -> None:
        """Note a success; says so once if anything had failed before."""
        if self.error is None:
            return
        log.info(
            f"{self._event}_recovered",
            **self._fields,
            failures=self.count,
            after_s=round(now() - self._since, 1),
            **fields,
        )
        self.error, self.count, self.attempts = None, 0, 0
