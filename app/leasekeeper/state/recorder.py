"""Reading the state once and writing it when it has changed, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from time import time
from typing import Any, NoReturn

from leasekeeper.errors import AgentError, PublishError, StateError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.runtime.clock import now
from leasekeeper.settings.model import Settings
from leasekeeper.settings.state import StateEncryption
from leasekeeper.state.directory import LOCK_WAIT_S, MAX_BYTES, STATE_FILE, StateDirectory
from leasekeeper.state.identity import Identity, identity_of
from leasekeeper.state.sealing import Seal, Sealed, SealUnavailable, StateRejected, seal_for
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.trouble import Trouble

# A login or a new lease is written at once; that one was extended may be lost without harm.
LAZY_S = 5.0
# A local disk takes milliseconds. Nobody waits for longer, because secrets come first.
FLUSH_S = 2.0
_WRITE_DEADLINE_S = 20.0
# KMS has a deadline of its own, within which it says more; this one is for what cannot be broken
# off, such as a question to DNS.
_SEAL_DEADLINE_S = 15.0
_NO_KEY = "its key cannot be had: nobody answers"
_RETRY_S, _SLOWEST_RETRY_S = 1.0, 60.0

Document = dict[str, Any]


class StateRecorder:
    """Keeps one document on disk. *encode* makes bytes of it, in a thread."""

    def __init__(
        self,
        directory: StateDirectory,
        mount: str,
        encryption: StateEncryption,
        identity: Identity,
        encode: Callable[[Document], bytes],
    ) -> None:
        self._directory = directory
        self._mount = mount
        self._encryption = encryption
        self._identity = identity
        self._encode = encode
        self._workers = FileWorkers(threads_per_mount=1)
        self._seal: Seal | None = None
        self._due = math.inf
        self._wake = asyncio.Event()
        self._asked = self._written = 0
        self._progress = asyncio.Event()
        self._trouble = Trouble("state.write")
        self.collect: Callable[[], Document] | None = None

    @property
    def error(self) -> AgentError | None:
        """Why the newest state is not on disk."""
        return self._trouble.error

    async def load(self, decode: Callable[[bytes], Document]) -> Document | None:
        """Return what the last run left, or None; what cannot be used is a warning.

        :raises PublishError, StateError: if the directory cannot be used.
        """
        try:
            await self._run(self._directory.take, deadline_s=LOCK_WAIT_S + _WRITE_DEADLINE_S)
            content = await self._run(self._directory.read)
        except TimeoutError:
            raise StateError("the file system of state.path does not answer") from None
        document = None
        if content is not None:
            try:
                document = await self._open(content, decode)
            except StateRejected as error:
                log.warning(
                    "state.rejected",
                    error=str(error),
                    hint="starting afresh, with a new login; the file is replaced",
                    code="LK-STATE-002",
                )
        await self._check_writable()
        return document

    async def _open(self, content: bytes, decode: Callable[[bytes], Document]) -> Document:
        if len(content) >= MAX_BYTES:
            raise StateRejected(f"it is larger than {MAX_BYTES // 2**20} MiB")
        sealed = Sealed.parse(content)
        try:
            seal = await self._sealing(sealed)
        except TimeoutError:
            raise StateRejected(_NO_KEY) from None
        try:
            document: Document = await self._run(lambda: decode(seal.open(sealed)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StateRejected(f"its content is not understood ({type(error).__name__})") from None
        self._seal = seal
        return document

    async def _sealing(self, sealed: Sealed | None = None) -> Seal:
        """Return the seal for new files, or that of *sealed*, as `seal_for` does.

        :raises TimeoutError: if that hangs.
        """
        seal: Seal = await self._workers.run(
            "seals", seal_for, self._encryption, self._identity, sealed, deadline_s=_SEAL_DEADLINE_S
        )
        return seal

    async def _check_writable(self) -> None:
        try:
            await self._run(self._directory.check_writable)
        except TimeoutError:
            raise StateError("the file system of state.path does not answer") from None

    # -- writing --------------------------------------------------------------------------------

    def changed(self, *, at_once: bool = True) -> None:
        """Note that the document has changed."""
        self._asked += 1
        self._due = min(self._due, now() if at_once else now() + LAZY_S)
        self._wake.set()

    async def flush(self) -> None:
        """Return when the document as it is now is on disk, or after `FLUSH_S` seconds."""
        self.changed()
        wanted = self._asked
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while self._written < wanted and not self._trouble.active:
                    self._progress.clear()
                    await self._progress.wait()

    async def run(self) -> NoReturn:
        """Write the document whenever it has changed. Never returns."""
        while True:
            self._wake.clear()
            wait = self._due - now()
            if wait <= 0:
                await self._write()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait == math.inf else wait):
                    await self._wake.wait()

    async def _write(self) -> None:
        assert self.collect is not None
        self._due, asked = math.inf, self._asked
        document = {"saved_at": time(), **self.collect()}
        try:
            self._seal = seal = self._seal or await self._sealing()
            await self._run(
                lambda: self._directory.write(seal.seal(self._encode(document))), strand="state"
            )
        except (PublishError, SealUnavailable, TimeoutError) as error:
            self._failed(error)
        else:
            self._trouble.recovered()
            self._written = asked
        self._progress.set()

    def _failed(self, error: PublishError | SealUnavailable | TimeoutError) -> None:
        if not isinstance(error, PublishError):
            said = str(error) or "the file system does not answer"
            error = PublishError(f"writing the state: {said}", path=STATE_FILE)
        self._trouble.failed(error)
        # A local matter: nobody else is there to be out of step with.
        pause = _RETRY_S * 2.0 ** min(self._trouble.count - 1, 6)
        self._due = now() + min(pause, _SLOWEST_RETRY_S)

    # -- the end --------------------------------------------------------------------------------

    async def close(self, *, keep: bool) -> None:
        """Write the document a last time, or remove it; after `run` has ended."""
        try:
            if not keep:
                await self._run(self._directory.remove, deadline_s=FLUSH_S)
            elif self._written < self._asked and self.collect is not None:
                async with asyncio.timeout(FLUSH_S):
                    await self._write()
        except (PublishError, TimeoutError) as error:
            log.warning("state.close_failed", error=str(error), code=StateError.code)
        self._directory.release()
        await self._workers.close(grace_s=0)

    async def _run(
        self,
        function: Callable[[], Any],
        *,
        deadline_s: float = _WRITE_DEADLINE_S,
        strand: str = "",
    ) -> Any:
        return await self._workers.run(
            self._mount, function, deadline_s=deadline_s, strand=strand or None
        )


async def open_recorder(settings: Settings, encode: Callable[[Document], bytes]) -> StateRecorder:
    """Return the recorder that *settings* describe; nothing is read yet.

    :raises StateError: if ECS does not say which task this is.
    """
    path, encryption = settings.state.path, settings.state.encryption
    assert path is not None
    assert encryption is not None
    identity = await identity_of(settings)
    mount = Mounts.current().of(path)
    return StateRecorder(StateDirectory(path), mount, encryption, identity, encode)
