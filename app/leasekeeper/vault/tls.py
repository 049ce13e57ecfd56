"""The TLS settings for Vault, read from files, and again when those change."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator

from leasekeeper.errors import ConfigError, Problem
from leasekeeper.settings.model import VaultSection
from leasekeeper.telemetry.events import log


class TlsFiles:
    """What `tls_context` makes of the files at present: *context*.

    :raises ConfigError: if a file cannot be used.
    """

    def __init__(self, settings: VaultSection) -> None:
        self._settings = settings
        self._read = self._state()
        self.context = tls_context(settings)

    async def reread(self) -> bool:
        """Read the files again if they have changed; whether *context* is a new one.

        Files that cannot be used are told once, and the last good ones stay in use.
        """
        # In a thread: the volume may hang.
        state = await asyncio.to_thread(self._state)
        if state == self._read:
            return False
        self._read = state
        try:
            self.context = await asyncio.to_thread(tls_context, self._settings)
        except ConfigError as error:
            log.warning(
                "vault.tls_files_unusable", error=str(error), hint=_STILL_THE_OLD, code=error.code
            )
            return False
        log.info("vault.tls_files_read")
        return True

    def _state(self) -> tuple[object, ...]:
        """Return something that changes with the files."""
        return tuple(_identity(path) for path in self._paths())

    def _paths(self) -> Iterator[str]:
        settings = self._settings
        for path in (settings.ca_file, settings.client_cert_file, settings.client_key_file):
            if path is not None:
                yield path
        if settings.ca_path is not None:
            yield settings.ca_path
            try:
                yield from sorted(entry.path for entry in os.scandir(settings.ca_path))
            except OSError:
                return


_STILL_THE_OLD = "the files as they were before stay in use"


def _identity(path: str) -> tuple[object, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        return (path, error.errno)
    return (path, found.st_ino, found.st_size, found.st_mtime_ns)


def tls_context(settings: VaultSection) -> ssl.SSLContext:
    """Return the TLS settings for Vault.

    :raises ConfigError: if a file cannot be used; every problem at once.
    """
    own = any((settings.ca_file, settings.ca_pem, settings.ca_path))
    # Not `create_default_context`: from Python 3.13 on it refuses private authorities whose
    # certificates lack what RFC 5280 asks for, which Vault's own tools accept.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An intermediate authority may be trusted alone, as Go does.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    problems: list[str] = []
    if settings.ca_file is not None:
        problems += _load("ca_file", settings.ca_file, lambda: _load_file(context, settings))
    if settings.ca_pem is not None:
        pem = settings.ca_pem
        problems += _load("ca_pem", "", lambda: _load_text(context, pem))
    if settings.ca_path is not None:
        path = settings.ca_path
        problems += _load("ca_path", path, lambda: _load_directory(context, path))
    if settings.client_cert_file is not None:
        certificate = settings.client_cert_file
        problems += _load("client_cert_file", certificate, lambda: _load_pair(context, settings))
    if problems:
        raise ConfigError(*(Problem(problem, "LK-TLS-006") for problem in problems))
    if not own:
        context.load_default_certs()
    if settings.tls_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(setting: str, path: str, load: Callable[[], None]) -> list[str]:
    try:
        load()
    except (OSError, ValueError) as error:  # SSLError is an OSError
        what = repr(path) if path else "the text"
        return [f"vault.{setting}: {what} cannot be used: {_reason(error)}"]
    return []


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return _SSL_REASONS.get(error.reason or "", "it is not what is needed, in PEM")
    return getattr(error, "strerror", None) or str(error)


_SSL_REASONS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it, in PEM",
    "KEY_VALUES_MISMATCH": "it does not belong to the key in vault.client_key_file",
}


def _load_file(context: ssl.SSLContext, settings: VaultSection) -> None:
    context.load_verify_locations(cafile=settings.ca_file)


def _load_text(context: ssl.SSLContext, pem: str) -> None:
    if not pem.isascii():
        msg = "it is not what is needed, in PEM"
        raise ValueError(msg)
    context.load_verify_locations(cadata=pem)


def _load_directory(context: ssl.SSLContext, path: str) -> None:
    """Trust every certificate in the files of a directory, whatever they are called.

    OpenSSL itself finds only files that are called by the hash of their subject; Vault's own
    tools take them all.
    """
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.is_file():
            try:
                context.load_verify_locations(cafile=entry.path)
            except ssl.SSLError:
                continue  # a README is no reason not to start
    if not context.cert_store_stats()["x509"]:
        msg = "there is no certificate in it, in PEM"
        raise ValueError(msg)


def _load_pair(context: ssl.SSLContext, settings: VaultSection) -> None:
    certificate, key = settings.client_cert_file, settings.client_key_file
    assert certificate is not None
    assert key is not None
    for path in (certificate, key):
        # OpenSSL does not say which of the two it could not open.
        with open(path, "rb"):
            pass
    # An empty password, since for an encrypted key OpenSSL would ask on the terminal.
    context.load_cert_chain(certificate, key, password="")
