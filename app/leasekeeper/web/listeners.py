"""All addresses of the HTTP server, opened and closed together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from leasekeeper.errors import ConfigError
from leasekeeper.settings.process import ListenerSection, WebSection
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.metrics import VAULT_REQUEST_SECONDS
from leasekeeper.web.report import View
from leasekeeper.web.server import WebServer

if TYPE_CHECKING:
    from leasekeeper.web.control import Control, TokenFile


class Listeners:
    """Serves *view* at every address of *web*; *on_quit* stops the process.

    *control* does what operators ask for, once its token is in *file*.

    :raises ConfigError: if a certificate cannot be used.
    """

    def __init__(
        self,
        web: WebSection,
        view: View,
        on_quit: Callable[[], None],
        *,
        control: Control | None = None,
        file: TokenFile | None = None,
    ) -> None:
        self._file = file
        self._tls: list[tuple[ListenerSection, ssl.SSLContext]] = []
        self._servers = []
        if web.openmetrics:
            VAULT_REQUEST_SECONDS.exemplars = {}
        server = partial(
            WebServer,
            view=view,
            openmetrics=web.openmetrics,
            audience=web.page,
            names=web.allowed_hosts,
            control=control,
        )
        if web.listen:
            quits = on_quit if web.enable_quit else None
            self._servers.append(server(web.listen, on_quit=quits))
        for listener in web.listeners:
            quits = on_quit if listener.enable_quit else None
            tls = self._tls_of(listener)
            self._servers.append(server(listener.address, tls=tls, on_quit=quits))

    async def start(self) -> None:
        """Bind all addresses.

        :raises ConfigError: if one cannot be bound; `close` ends the others.
        """
        for server in self._servers:
            await server.start()
        if self._file is not None:
            from leasekeeper.web.control import write_token

            await asyncio.to_thread(write_token, self._file)

    async def close(self) -> None:
        """Stop serving; open requests get half a second."""
        await asyncio.gather(*(server.close() for server in self._servers))
        if self._file is not None:
            await asyncio.to_thread(self._file.remove)

    async def reload(self) -> None:
        """Read the certificates again; one that cannot be used is told, and the old one stays."""
        for listener, context in self._tls:
            try:
                # First elsewhere: half a new pair must not end up in the context in use.
                await asyncio.to_thread(_load, listener, _new_context())
                await asyncio.to_thread(_load, listener, context)
            except ConfigError as error:
                log.warning("web.certificate_unusable", address=listener.address, error=str(error))

    def _tls_of(self, listener: ListenerSection) -> ssl.SSLContext | None:
        if listener.tls_cert_file is None:
            return None
        context = _new_context()
        _load(listener, context)
        self._tls.append((listener, context))
        return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(listener: ListenerSection, context: ssl.SSLContext) -> None:
    certificate, key = listener.tls_cert_file, listener.tls_key_file
    assert certificate is not None
    try:
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        reason = "it is no certificate with its key, in PEM"
        if not isinstance(error, ssl.SSLError):
            reason = error.strerror or reason
        msg = f"web.listeners: {certificate!r} or {key!r} cannot be used: {reason}"
        raise ConfigError(msg) from error
