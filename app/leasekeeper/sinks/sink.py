"""One sink: the file with the token, rewritten after each login and when somebody spoils it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn, Protocol

from leasekeeper.errors import AgentError, OutputError, VaultDenied, VaultError
from leasekeeper.files.file_errors import publish_error
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.kept_file import KeptFile
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.target import Target
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.settings.sinks import SinkSection
from leasekeeper.sinks import envelope
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.trouble import Trouble
from leasekeeper.tokens.lease import TokenLease
from leasekeeper.vault.response import WrapInfo

RETRY = Backoff(minimum_s=1.0, maximum_s=60.0)
"""After a sink that could not be written."""


class Tokens(Protocol):
    """Where the live token is; `TokenKeeper`."""

    @property
    def lease(self) -> TokenLease | None:
        """The live token, or None while there is none."""
        ...

    def on_login(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every login."""
        ...

    async def verify(self, refusal: VaultDenied) -> bool:
        """Whether *refusal* was about the token; then there is a new one."""
        ...


class Wrapper(Protocol):
    """Who wraps the live token; `VaultClient`."""

    async def wrap_token(self, ttl_s: float) -> WrapInfo:
        """Return the response-wrapping token of the token in use, good for *ttl_s* seconds.

        :raises VaultError: if Vault does not do it.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Content:
    """What is written for token number *serial*, and should be in place before *until*."""

    serial: int
    data: bytes = field(repr=False)
    until: float = math.inf


class Sink:
    """Writes the token to one file, and goes on trying until it is there.

    *on_written* is called whenever the present token is in place.
    """

    def __init__(
        self,
        section: SinkSection,
        tokens: Tokens,
        wrapper: Wrapper,
        *,
        aad: bytes,
        workers: FileWorkers,
        mounts: Mounts,
        deadline_s: float,
        repair_interval_s: float,
        rng: random.Random,
        on_written: Callable[[Sink], None],
    ) -> None:
        self.path = section.path
        self._section = section
        self._tokens = tokens
        self._wrapper = wrapper
        self._aad = aad
        self._workers = workers
        self._mounts = mounts
        self._deadline_s = deadline_s
        self._repair_interval_s = repair_interval_s
        self._rng = rng
        self._on_written = on_written
        self._file = KeptFile(
            Target.of(section),
            workers=workers,
            mount=mounts.of(section.path),
            deadline_s=deadline_s,
            sink=section.path,
        )
        self._trouble = Trouble("sink.write", sink=section.path)
        self._public_key: bytes | None = None
        self._pending: _Content | None = None
        self._written = 0
        self._wake = asyncio.Event()

    @property
    def error(self) -> AgentError | None:
        """Why the present token is not in the file, while writing it fails."""
        return self._trouble.error

    @property
    def settled(self) -> bool:
        """Whether the present token is in the file, as far as is known."""
        lease = self._tokens.lease
        return lease is not None and lease.serial == self._written

    def wake(self) -> None:
        """Look at once: there is a new token, or Vault is back."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Keep the file up to date. Never returns."""
        while True:
            self._wake.clear()
            pause_s = await self._step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause_s) else pause_s):
                    await self._wake.wait()

    async def _step(self) -> float:
        """Do what is due and return after how many seconds to look again."""
        lease = self._tokens.lease
        if lease is None:
            return math.inf  # a dead token is not worth writing; the next login wakes us
        try:
            if lease.serial == self._written:
                await self._repair(lease)
            else:
                await self._write(lease)
        except VaultDenied as refusal:
            return await self._refused(refusal)
        except (OutputError, VaultError) as error:
            return self._failed(error)
        self._trouble.recovered()
        # A little early, and never in step with other sinks and tasks.
        return self._repair_interval_s * self._rng.uniform(0.8, 1.0)

    async def _refused(self, refusal: VaultDenied) -> float:
        try:
            if await self._tokens.verify(refusal):
                return RETRY.minimum_s  # the login has woken us already
        except VaultError as error:
            return self._failed(error)
        refusal.hint = "allow update on sys/wrapping/wrap; the policy `default` does"
        return self._failed(refusal)

    def _failed(self, error: OutputError | VaultError) -> float:
        self._trouble.failed(error)
        return RETRY.delay(self._trouble.count - 1, self._rng)

    async def _repair(self, lease: TokenLease) -> None:
        if lease.wrapping is not None:
            return  # whoever has read it may do with the file what they like
        if self._section.wrap_ttl:
            # Whoever has read a wrapping token may mark, empty or remove the file. Only the last
            # asks for another one.
            if await self._file.is_missing():
                await self._write(lease)
            return
        self._written = 0  # so that a failed repair is followed by a write
        await self._file.repair()
        self._written = lease.serial

    async def remove(self) -> None:
        """Take the file away at the end of the task; a failure is logged."""
        await self._file.remove()

    async def _write(self, lease: TokenLease) -> None:
        # A file that cannot be written must not cost Vault one wrapping for each try.
        content = self._pending
        if content is None or content.serial != lease.serial or now() >= content.until:
            content = self._pending = await self._make(lease)
        news = await self._file.put(content.data)
        self._pending, self._written = None, lease.serial
        if news:
            log.info(
                "sink.written",
                sink=self.path,
                accessor=lease.accessor,
                wrapped=bool(self._section.wrap_ttl or lease.wrapping),
                encrypted=self._section.dh_path is not None,
            )
        self._on_written(self)

    async def _make(self, lease: TokenLease) -> _Content:
        data, until = lease.client_token.encode(), math.inf
        if lease.wrapping is not None:
            data = envelope.wrapping(lease.wrapping)
        if wrap_ttl_s := self._section.wrap_ttl:
            info = await self._wrapper.wrap_token(wrap_ttl_s)
            redactor.protect(("sink", self.path), [info.token])
            # Half of its life is for the reader.
            data, until = envelope.wrapping(info), now() + wrap_ttl_s / 2
        if self._section.dh_path is not None:
            data = await self._encrypted(data, self._section.dh_path)
        return _Content(lease.serial, data, until)

    async def _encrypted(self, data: bytes, key_path: str) -> bytes:
        """Return *data* for the reader whose public key is at *key_path*.

        The first key found there stays the reader's: whoever can replace the file later does not
        get the next token.
        """
        if self._public_key is None:
            read = partial(envelope.read_public_key, key_path)
            self._public_key = await self._in_thread(key_path, "reading the public key in", read)
        key, derive_key = self._public_key, self._section.derive_key
        # In a thread because the first time imports a large library.
        seal = partial(envelope.seal, data, key, derive_key=derive_key, aad=self._aad)
        return await self._in_thread(self.path, "encrypting the token for", seal)

    async def _in_thread(self, path: str, doing: str, function: Callable[[], bytes]) -> bytes:
        mount, deadline_s = self._mounts.of(path), self._deadline_s
        try:
            return await self._workers.run(mount, function, deadline_s=deadline_s, strand=path)
        except TimeoutError:
            raise publish_error(path, doing, errno.ETIMEDOUT) from None
