"""The task's AWS credentials, held while they are valid and read again in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from leasekeeper.errors import AwsCredentialsError
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.trouble import Trouble

# ECS hands out new task credentials well before this, and a login takes a second. Reading earlier
# would gain nothing; botocore starts at 15 minutes because it also signs long uploads.
REFRESH_AHEAD_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """One set of credentials. *expires_at* is Unix time, None when they do not expire."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    source: str = ""
    """Where they were found, in botocore's words: ``container-role``, ``env``, ..."""
    role_arn: str | None = None
    """The role that they belong to, where the source says so."""


Load = Callable[[], Awaitable[AwsCredentials]]
"""Reads credentials from where they come from, or raises AwsCredentialsError."""


class CredentialSource:
    """Gives out valid credentials, with one read at a time whatever the number of callers.

    *load* reads them; *clock* tells Unix time. Credentials without an expiry are read again for
    every call, because a profile may be rewritten at any time.
    """

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.time) -> None:
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._reads = 0
        self._outcome: AwsCredentials | AwsCredentialsError | None = None
        self._doubted = False
        self._trouble = Trouble("auth.credentials_refresh")

    async def get(self) -> AwsCredentials:
        """Return credentials that have not expired.

        :raises AwsCredentialsError: if there are none; everybody who waited for the same read
            gets the same error.
        """
        if (held := self._fresh()) is not None:
            return held
        seen = self._reads
        async with self._lock:
            if self._reads == seen:
                self._outcome = await self._read()
                self._reads += 1
        if isinstance(self._outcome, AwsCredentials):
            return self._outcome
        assert self._outcome is not None
        raise AwsCredentialsError(self._outcome.message, hint=self._outcome.hint)

    def doubt(self) -> None:
        """Read again at the next call: AWS or Vault refused what is held.

        What is held is still used if that read fails.
        """
        self._doubted = True

    def _fresh(self) -> AwsCredentials | None:
        held = self._held()
        if held is None or self._doubted or held.expires_at is None:
            return None
        return held if held.expires_at - self._clock() > REFRESH_AHEAD_S else None

    def _held(self) -> AwsCredentials | None:
        return self._outcome if isinstance(self._outcome, AwsCredentials) else None

    async def _read(self) -> AwsCredentials | AwsCredentialsError:
        try:
            new = await self._load()
            self._refuse_expired(new)
        except AwsCredentialsError as error:
            held = self._held()
            if held is None or self._expired(held):
                return error
            self._trouble.failed(error)
            return held
        self._trouble.recovered()
        self._doubted = False
        redactor.protect("aws credentials", filter(None, (new.secret_key, new.token)))
        log.debug("auth.credentials_read", source=new.source, access_key=new.access_key)
        return new

    def _expired(self, credentials: AwsCredentials) -> bool:
        return credentials.expires_at is not None and credentials.expires_at <= self._clock()

    def _refuse_expired(self, new: AwsCredentials) -> None:
        if new.expires_at is None or not self._expired(new):
            return
        ago = self._clock() - new.expires_at
        raise AwsCredentialsError(
            f"the AWS credentials from {new.source!r} expired {ago:.0f} s ago",
            hint="whatever provides them has stopped renewing them, or the clock of this task is "
            "wrong; they are read again",
        )
