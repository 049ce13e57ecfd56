"""One login of a command: it asks Vault, makes nothing, and takes its token back."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from leasekeeper.commands.pretending import APPLICATION, answer, content_of, snapshot
from leasekeeper.errors import AgentError, VaultError
from leasekeeper.secrets.asking import ask, may_mint
from leasekeeper.secrets.mounts import Mounts
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.settings.model import Settings
from leasekeeper.sources import Dialect, compile_environment, compile_sources
from leasekeeper.telemetry.events import configure
from leasekeeper.templates.source import RenderContext, Source
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import Mount, VaultClient
from leasekeeper.vault.response import AuthData, VaultResponse
from leasekeeper.vault.transport import Manner

# A template that asks for something new in so many passes does not come to an end.
_MOST_PASSES = 20


@dataclass(kw_only=True)
class Session:
    """Somebody who is logged in."""

    client: VaultClient
    auth: AuthData
    mounts: Mounts
    answers: dict[SecretRequest, VaultResponse] = field(default_factory=dict, repr=False)
    errors: dict[SecretRequest, VaultError] = field(default_factory=dict)
    not_asked: set[SecretRequest] = field(default_factory=set)
    """Requests that could make something, so the answers are made up."""

    async def mount_of(self, request: SecretRequest) -> Mount | None:
        """Return the mount of *request*; None also when the token may not know."""
        try:
            return await self.mounts.of(request.path)
        except VaultError:
            return None

    async def fetch(self, request: SecretRequest, *, mint: bool) -> None:
        """Have an answer to *request*, a made-up one if asking could make something."""
        if request in self.answers or request in self.errors:
            return
        mount = await self.mount_of(request)
        if may_mint(mount, request) and not mint:
            self.not_asked.add(request)
            self.answers[request] = answer(request)
            return
        try:
            self.answers[request], _ = await ask(self.client, self.mounts, request, mount, Manner())
        except VaultError as error:
            self.errors[request] = error


@contextlib.asynccontextmanager
async def logged_in(settings: Settings) -> AsyncIterator[Session]:
    """Log in once; the token, unless it was given to us, is revoked in the end.

    :raises AgentError: if there is no login.
    """
    # What is for people on standard output must stand alone there.
    configure("warning", "console", sys.stderr)
    client = VaultClient(settings.vault)
    method = create_method(settings.auth, settings.vault)
    try:
        auth = await method.login(client)
        client.use_token(auth.client_token, 1)
        try:
            yield Session(client=client, auth=auth, mounts=Mounts(client))
        finally:
            if settings.auth.method != "token_file":
                with contextlib.suppress(VaultError):
                    await client.revoke_token()
    finally:
        await method.close()
        await client.close()


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What an output would hold now. *text* is None when *error*, or a missing secret, says why."""

    label: str
    destination: str | None
    source: Source = field(repr=False)
    used: frozenset[SecretRequest]
    text: str | None = field(repr=False)
    error: AgentError | None = None


async def draw_all(
    session: Session, settings: Settings, dialect: Dialect, *, mint: bool = False
) -> list[Drawn]:
    """Render every output with what Vault says now.

    :raises ConfigError: if a template does not parse.
    """
    found: list[tuple[Source, str, str | None]] = [
        (source, output.label, output.destination)
        for output, source in compile_sources(settings, dialect)
    ]
    environment = compile_environment(settings, dialect)
    if environment is not None:
        found.append((environment, APPLICATION, None))
    return [await _draw(session, *one, mint=mint) for one in found]


async def _draw(
    session: Session, source: Source, label: str, destination: str | None, *, mint: bool
) -> Drawn:
    text: str | None = None
    error: AgentError | None = None
    asked: set[SecretRequest] = set(source.static_requests())
    for _ in range(_MOST_PASSES):
        for request in sorted(asked, key=lambda one: one.name):
            await session.fetch(request, mint=mint)
        known = len(asked)
        text, error = render(source, session.answers, asked)
        if len(asked) == known:
            break
    used = frozenset(asked)
    return Drawn(
        label=label, destination=destination, source=source, used=used, text=text, error=error
    )


def render(
    source: Source, answers: dict[SecretRequest, VaultResponse], asked: set[SecretRequest]
) -> tuple[str | None, AgentError | None]:
    """Return the text that *answers* make, or why there is none; adds to *asked*."""

    def secret(request: SecretRequest) -> Snapshot | None:
        asked.add(request)
        response = answers.get(request)
        return None if response is None else snapshot(request, response)

    try:
        return source.render(
            RenderContext(secret=secret, file=content_of, environ=os.environ)
        ).text, None
    except AgentError as failed:
        return None, failed
