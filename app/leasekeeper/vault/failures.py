"""What a request that got no usable answer means, in words, and how to mend it."""

from __future__ import annotations

import os
import ssl

import aiohttp

from leasekeeper.errors import VaultUnavailable
from leasekeeper.settings.durations import format_duration

# What may come out of aiohttp for reasons that lie outside of this process.
# TimeoutError and SSLError are OSErrors; UnicodeError is for a host name that IDNA cannot encode.
NO_ANSWER = (aiohttp.ClientError, OSError, UnicodeError)
# A connection that has been made and was broken off, or could not be made.
BROKEN_OFF = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError)
_REACH = "check vault.address, security groups and routes"
_CLIENT_CERTIFICATE = (
    "if Vault asks for client certificates, set vault.client_cert_file and vault.client_key_file "
    "(VAULT_CLIENT_CERT, VAULT_CLIENT_KEY)"
)
_CERTIFICATE_HINTS = {
    9: "check the clock of the host",
    10: "renew the one that has ended, the server's or the authority's in vault.ca_file, or check "
    "the clock of the host",
    62: "set vault.tls_server_name (VAULT_TLS_SERVER_NAME) to a name in the certificate",
    64: "set vault.tls_server_name (VAULT_TLS_SERVER_NAME) to a name in the certificate",
}
_CERTIFICATE_CODES = {9: "LK-TLS-002", 10: "LK-TLS-002", 62: "LK-TLS-003", 64: "LK-TLS-003"}
_AUTHORITY = "set vault.ca_file (VAULT_CACERT) to the PEM file of the signing authority"
# OpenSSL's words for a peer that answers a TLS handshake with something else.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


class Unusable(Exception):
    """An answer that is no answer; *why* follows "Vault at ADDRESS"."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def unavailable(error: Exception, where: str, timeout_s: float) -> VaultUnavailable:
    """Return what to raise for *error*; *where* is Vault's address, with the proxy if any."""
    why, hint = _explain(error, timeout_s)
    if hint is None and where.startswith("https:") and isinstance(error, BROKEN_OFF):
        hint = _CLIENT_CERTIFICATE  # with TLS 1.3 the server just closes, and says no more
    told = VaultUnavailable(f"Vault at {where} {why}", hint=hint)
    told.unreachable = True
    told.code = _code_of(error)
    told.never_sent = isinstance(error, aiohttp.ClientConnectorError | UnicodeError)
    return told


def harmless_cause(error: Exception) -> BaseException | None:
    """Return what of *error* may be chained: aiohttp's own errors hold headers and passwords."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    return None if isinstance(error, aiohttp.ClientResponseError) else error


def _explain(error: Exception, timeout_s: float) -> tuple[str, str | None]:
    match error:
        case Unusable():
            return error.why, error.hint
        case TimeoutError():
            return f"did not answer within {format_duration(timeout_s)}", None
        case aiohttp.ClientHttpProxyError():
            return (
                f"is behind a proxy that answered {error.status}",
                "check HTTPS_PROXY and NO_PROXY: the task needs to be let through to Vault",
            )
        case aiohttp.ClientProxyConnectionError():
            return (
                f"is behind a proxy that cannot be reached: {_reason(error.os_error)}",
                "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            )
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return "has a host name that cannot be resolved", "check vault.address and DNS"
    if (cause := _ssl_error(error)) is not None:
        return _explain_tls(cause)
    return _explain_connection(error)


def _code_of(error: Exception) -> str:
    match error:
        case Unusable():
            return "LK-VAULT-006"
        case TimeoutError():
            return "LK-VAULT-004"
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return "LK-VAULT-005"
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return "LK-VAULT-003"
    cause = _ssl_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CODES.get(cause.verify_code, "LK-TLS-001")
    if cause is not None:
        return "LK-TLS-004" if cause.reason in _NOT_TLS else "LK-TLS-005"
    return "LK-VAULT-001"


def _explain_connection(error: Exception) -> tuple[str, str | None]:
    match error:
        case aiohttp.ClientConnectorError(os_error=OSError(errno=None)):
            return "closed the connection while it was being made", None
        case aiohttp.ClientConnectorError():
            return f"cannot be reached: {_reason(error.os_error)}", _REACH
        case aiohttp.ServerDisconnectedError():
            return "closed the connection before it answered", None
        case aiohttp.ClientOSError() | ConnectionError():
            return f"broke the connection off: {_reason(error)}", None
        case aiohttp.ClientPayloadError():
            return "sent an answer that breaks off or is garbled", None
        case aiohttp.ClientResponseError():
            return "answered with something that is not HTTP", "check vault.address"
    return f"cannot be used: {type(error).__name__}", None


def _reason(error: OSError) -> str:
    # Not its own strerror: asyncio puts addresses into it.
    return os.strerror(error.errno).lower() if error.errno else "no reason given"


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return OpenSSL's own error behind *error*, if TLS is what went wrong."""
    while error is not None:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            error = error.certificate_error
        elif isinstance(error, aiohttp.ClientConnectorError):
            error = error.os_error
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _explain_tls(error: ssl.SSLError) -> tuple[str, str | None]:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or "it is not trusted"
        return (
            f"has a certificate that cannot be verified: {reason}",
            _CERTIFICATE_HINTS.get(error.verify_code, _AUTHORITY),
        )
    if error.reason in _NOT_TLS:
        return "does not speak TLS", "check https:// or http:// in vault.address"
    alert = (error.reason or "no reason given").replace("_", " ").lower()
    hint = _CLIENT_CERTIFICATE if "alert" in alert or "handshake" in alert else None
    return f"and we cannot agree on TLS: {alert}", hint
