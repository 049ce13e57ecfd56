"""What survives a restart: collected from the keepers, kept by the state's recorder.

A value is worth keeping only together with the token that made it. So the token of the last run is
looked up first; each secret that somebody asks for again is then looked up and adopted. What is
left over is revoked, but not before the files show something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time
from typing import Any, NoReturn

from leasekeeper.errors import AgentError, VaultDenied, VaultError
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.latch import Latch
from leasekeeper.secrets.budget import MintBudgets
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.saved import SavedSecret, request_of_json, request_to_json
from leasekeeper.settings.model import Settings
from leasekeeper.state.identity import login_of
from leasekeeper.state.recorder import Document, StateRecorder, open_recorder
from leasekeeper.telemetry import audit
from leasekeeper.telemetry.events import log
from leasekeeper.tokens.keeper import TokenKeeper, is_policy
from leasekeeper.tokens.saved import SavedToken
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.decoding import TooDeep, decode_any
from leasekeeper.vault.encoding import to_json

_TIDY_RETRY_S = 30.0


class Memory:
    """The state of one process. `attach` it to the keepers before they run."""

    def __init__(
        self, recorder: StateRecorder, document: Document | None, login: str, *, own: bool = True
    ) -> None:
        """*own*: the token comes from a login of ours, so revoking it is ours, too."""
        self._recorder = recorder
        self._login = login
        self._own = own
        self._leftovers: list[str] = []
        self.saved_token: SavedToken | None = None
        self.recalled: dict[SecretRequest, SavedSecret] = {}
        self.spent: dict[SecretRequest, float] = {}
        self.spent_ago_s = 0.0
        if document is not None:
            self._read(document)

    def _read(self, document: Document) -> None:
        self._leftovers = document["leftovers"]
        self.spent = dict(document["spent"])
        self.spent_ago_s = max(time() - document["saved_at"], 0.0)
        token: SavedToken | None = document["token"]
        if token is None:
            return
        reason = ""
        if document["login"] != self._login:
            reason = "the configuration logs in in another way now"
        elif document["minting"]:
            reason = "the last run ended while a secret was made with it"
        if reason:
            # What it made may be on disk, or may have been lost: it is revoked when all is new.
            log.warning("token.not_adopted", accessor=token.accessor, reason=reason)
            if self._own:
                self._leftovers.append(token.client_token)
            return
        self.saved_token = token
        self.recalled = {secret.request: secret for secret in document["secrets"]}

    # -- what keepers ask -----------------------------------------------------------------------

    def recall(self, request: SecretRequest) -> SavedSecret | None:
        """Return what is known of *request* from the last run, once."""
        return self.recalled.pop(request, None)

    def changed(self, at_once: bool) -> None:
        """Note that there is something new to keep."""
        self._recorder.changed(at_once=at_once)

    async def flush(self) -> None:
        """Return when all that is known now is on disk, or it takes too long."""
        await self._recorder.flush()

    @property
    def error(self) -> AgentError | None:
        """Why the state cannot be kept at present, or None."""
        return self._recorder.error

    # -- its life -------------------------------------------------------------------------------

    def attach(
        self,
        client: VaultClient,
        tokens: TokenKeeper,
        budgets: MintBudgets,
        saved: Callable[[], list[SavedSecret]],
    ) -> None:
        """Collect from these from now on."""
        self._client, self._tokens = client, tokens
        tokens.on_change(lambda: self.changed(False))
        tokens.on_login(lambda: self.changed(True))

        def collect() -> Document:
            lease = tokens.lease
            return {
                "login": self._login,
                "token": lease and SavedToken.of(lease, tokens.policies, at=now(), wall=time()),
                "secrets": [*saved(), *self.recalled.values()],
                "spent": budgets.spent(),
                "minting": bool(budgets.minting),
                "leftovers": self._left(),
            }

        self._recorder.collect = collect

    def _left(self) -> list[str]:
        """Return the tokens that live without being used."""
        disowned = self._tokens.disowned
        return [*self._leftovers, *([disowned] if disowned else [])]

    async def run(self, settled: Latch, overlap_s: float) -> NoReturn:
        """Keep the state, and revoke what is left over once the files are new. Never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="state")
            await settled.wait()
            if self._left() or self.recalled:
                await asyncio.sleep(overlap_s)
            await self._tidy_until_done()
            await asyncio.Event().wait()
        raise AssertionError

    async def _tidy_until_done(self) -> None:
        while True:
            if await self._tidy():
                return
            await asyncio.sleep(_TIDY_RETRY_S)

    async def _tidy(self) -> bool:
        """Revoke what nobody uses any more; whether nothing is left to do."""
        live = self._tokens.lease
        for token in self._left():
            used = live is not None and token == live.client_token
            if not used and not await self._revoked("token", self._client.revoke_token(token)):
                return False
        self._leftovers, self._tokens.disowned = [], None
        for request, secret in tuple(self.recalled.items()):
            if secret.response.lease_id and self._tokens.resumed:
                lease_id = secret.response.lease_id
                if not await self._revoked(
                    "lease", self._client.revoke_lease(lease_id), lease=audit.lease_hash(lease_id)
                ):
                    return False
            self.recalled.pop(request, None)
        self.changed(False)
        return True

    async def _revoked(self, what: str, asking: Any, **fields: str) -> bool:
        try:
            await asking
        except VaultError as error:
            if error.retryable:
                return False
            if what == "token" and isinstance(error, VaultDenied) and not is_policy(error):
                return True  # it has ended by itself
            log.warning("state.leftover_kept", what=what, error=error.message, **fields)
        else:
            log.info("state.leftover_revoked", what=what, **fields)
        return True

    async def close(self, *, keep: bool) -> None:
        """Write the state a last time, or remove it, and revoke what it alone knows of."""
        if not keep:
            await self._tidy()
        await self._recorder.close(keep=keep)


async def open_memory(settings: Settings) -> Memory:
    """Return what the last run left, ready to be attached.

    :raises PublishError, StateError: if the directory of the state cannot be used.
    """
    recorder = await open_recorder(settings, encode)
    try:
        document = await recorder.load(decode)
    except BaseException:
        await recorder.close(keep=True)
        raise
    own = settings.auth.method != "token_file"
    return Memory(recorder, document, login_of(settings), own=own)


def encode(document: Document) -> bytes:
    """Return *document*, as `Memory` collects it, in bytes."""
    token, secrets, spent = document["token"], document["secrets"], document["spent"]
    told = {
        **document,
        "token": token and token.to_json(),
        "secrets": [secret.to_json() for secret in secrets],
        "spent": [[request_to_json(request), level] for request, level in spent.items()],
    }
    return to_json(told).encode()


def decode(raw: bytes) -> Document:
    """Read what `encode` has made.

    :raises ValueError, KeyError, TypeError: if it is something else.
    """
    try:
        told = decode_any(raw)
    except TooDeep:
        raise ValueError from None
    token = told["token"]
    return {
        "saved_at": float(told["saved_at"]),
        "login": str(told["login"]),
        "token": None if token is None else SavedToken.of_json(token),
        "secrets": [SavedSecret.of_json(secret) for secret in told["secrets"]],
        "spent": [(request_of_json(request), float(level)) for request, level in told["spent"]],
        "minting": told["minting"] is not False,
        "leftovers": [str(token) for token in told["leftovers"]],
    }
