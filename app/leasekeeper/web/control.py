"""What an operator may have done: ``POST /v1/refresh``, ``/v1/rotate`` and ``/v1/quit``.

Answered to this machine alone, whatever `web.page` and `web.listen` say, and only to who has read
the token: a new one in each run, in a file that only our own user can read. A page in a browser
has no token and cannot send it, since no answer allows it a header of its own.
"""

from __future__ import annotations

import hmac
import json
import math
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from leasekeeper.errors import OutputError
from leasekeeper.files.publish import Publication
from leasekeeper.files.target import Target
from leasekeeper.runtime.clock import now
from leasekeeper.secrets.keeper import SecretKeeper
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import CONTROLS
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.web.report import Reporter

PREFIX = "/v1/"
# An operator's script that runs wild is slowed down to one request in three seconds.
_BURST, _PAUSE_S = 10, 3.0


class TokenFile:
    """The token of this run, at *path*. `write` and `remove` block."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.token = secrets.token_urlsafe(32)
        redactor.protect("control token", [self.token])

    def write(self) -> None:
        """Put the token in place, with mode 0600.

        :raises OSError, OutputError: if the file system refuses.
        """
        Path(self._path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Publication(Target(path=self._path, mode=0o600), self.token.encode()).commit()

    def remove(self) -> None:
        """Take the file away, unless another process has put its own there."""
        path = Path(self._path)
        try:
            if path.read_bytes() == self.token.encode():
                path.unlink()
        except OSError:
            return


class _Bucket:
    """Allows `_BURST` things at once, then one in `_PAUSE_S` seconds."""

    def __init__(self) -> None:
        self._full_at = -math.inf

    def wait_s(self) -> float:
        """Take one; or return in how many seconds there is one again."""
        full_at = max(self._full_at, now()) + _PAUSE_S
        if (wait_s := full_at - now() - _BURST * _PAUSE_S) > 0:
            return wait_s
        self._full_at = full_at
        return 0.0


class Refusal(Exception):
    """A request that is not done, and why; *wait_s* says when to try again."""

    def __init__(self, status: int, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.wait_s = wait_s


class Control:
    """Does what is asked of the process that *reporter* shows; None while there is no work.

    *file* has the token; `web.guard` has looked at who asks before.
    """

    def __init__(
        self,
        file: TokenFile,
        *,
        reporter: Callable[[], Reporter | None],
        on_quit: Callable[[], None],
    ) -> None:
        self._file = file
        self._reporter = reporter
        self._on_quit = on_quit
        self._allowed, self._refused = _Bucket(), _Bucket()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Answer at our addresses."""
        for name, do in (
            ("refresh", self._refresh),
            ("rotate", self._rotate),
            ("quit", self._quit),
        ):
            router.add_post(f"{PREFIX}{name}", self._handler(name, do))

    def _handler(
        self, name: str, do: Callable[[str], dict[str, object]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._check(request)
                secret = await _secret_in(request)
                answer = do(secret)
            except Refusal as refusal:
                CONTROLS.inc(name, "refused")
                return refused(refusal)
            CONTROLS.inc(name, "done")
            log.info("control.done", action=name, **({"secret": secret} if secret else {}))
            return web.json_response(answer, status=202)

        return handle

    def _check(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._file.token.encode()):
            if not self._refused.wait_s():
                log.warning("control.refused", path=request.path, because="not our token")
            raise Refusal(401, "this needs the token of this run: Authorization: Bearer ...")
        if wait_s := self._allowed.wait_s():
            raise Refusal(429, "too many requests at a time", wait_s=wait_s)

    def _working(self) -> Reporter:
        reporter = self._reporter()
        if reporter is None:
            raise Refusal(503, "this process starts, stops or stands by: it keeps no secrets now")
        return reporter

    def _refresh(self, secret: str) -> dict[str, object]:
        reporter = self._working()
        keepers = {secret: _found(reporter, secret)} if secret else reporter.keepers()
        done = {}
        for name, keeper in keepers.items():
            done[name] = keeper.refresh()
            reporter.secrets.wake(keeper)
        return {"secrets": done, "vault_reachable": reporter.client.reachability.up}

    def _rotate(self, secret: str) -> dict[str, object]:
        reporter = self._working()
        if not secret:
            raise Refusal(400, 'which one? the body is {"secret": NAME}, as /status names it')
        keeper = _found(reporter, secret)
        if not keeper.rotates:
            raise Refusal(409, f"Vault makes no new value of {secret!r} when asked; refresh it")
        if wait_s := keeper.rotate():
            message = f"the mint budget of {secret!r} is spent (secrets.mint_budget)"
            raise Refusal(429, message, wait_s=wait_s)
        reporter.secrets.wake(keeper)
        return {"secrets": {secret: "rotate"}, "vault_reachable": reporter.client.reachability.up}

    def _quit(self, _secret: str) -> dict[str, object]:
        self._on_quit()
        return {"stopping": True}


def refused(refusal: Refusal) -> web.Response:
    """Return the answer that says why."""
    headers = {"Retry-After": str(math.ceil(refusal.wait_s))} if refusal.wait_s else {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": refusal.message}
    return web.json_response(body, status=refusal.status, headers=headers)


def _found(reporter: Reporter, secret: str) -> SecretKeeper:
    keepers = reporter.keepers()
    if secret not in keepers:
        import difflib

        close = difflib.get_close_matches(secret, keepers, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "; /status names them"
        raise Refusal(404, f"no output uses a secret {secret!r}{hint}")
    return keepers[secret]


async def _secret_in(request: web.Request) -> str:
    raw = await request.read()
    if not raw:
        return ""
    try:
        body = json.loads(raw)
        known = isinstance(body, dict) and body.keys() <= {"secret"}
        secret = body.get("secret", "") if known else None
    except (ValueError, RecursionError):
        secret = None
    if not isinstance(secret, str):
        raise Refusal(400, 'the body is nothing, or JSON: {"secret": NAME}')
    return secret


def write_token(file: TokenFile) -> bool:
    """Put the token in place; whether that has worked. A failure is logged. Blocks."""
    try:
        file.write()
    except (OSError, OutputError) as error:
        hint = "web.control_token_file names another place; nothing else needs it"
        log.warning("control.unavailable", error=str(error), hint=hint)
        return False
    return True
