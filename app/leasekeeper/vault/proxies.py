"""Which proxy a request goes through, by the environment, with the rules of Vault's own tools.

These are Go's: Python's have no networks in NO_PROXY, and would send even loopback addresses
through a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from yarl import URL

from leasekeeper.errors import ConfigError, Problem

_OWN = ("BAO_PROXY_ADDR", "VAULT_PROXY_ADDR", "BAO_HTTP_PROXY", "VAULT_HTTP_PROXY")


def proxy_for(url: URL, environ: Mapping[str, str]) -> URL | None:
    """Return the proxy for *url*, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case.

    Vault's own variables, such as VAULT_PROXY_ADDR, go before them, and know no exceptions.

    :raises ConfigError: if the variable holds no URL of an HTTP proxy.
    """
    for own in _OWN:
        if value := environ.get(own, "").strip():
            return _proxy(own, value)
    name = f"{url.scheme}_proxy".upper()
    value = _variable(environ, name)
    host = (url.raw_host or "").lower()
    if not value or _is_local(host) or _is_exempt(host, url.port, _variable(environ, "NO_PROXY")):
        return None
    return _proxy(name, value)


def _proxy(name: str, value: str) -> URL:
    try:
        proxy = URL(value if "://" in value else f"http://{value}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.raw_host:
        # Its value stays out of the message: it may carry a password.
        msg = f'{name} needs the address of an HTTP proxy, such as "http://proxy:3128"'
        raise ConfigError(Problem(msg, "LK-VAULT-005"))
    return proxy


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.lower()) or "").strip()


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_exempt(host: str, port: int | None, exceptions: str) -> bool:
    return any(
        _matches(entry.strip().lower(), host, port) for entry in exceptions.split(",") if entry
    )


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Whether *host* is what an entry means: ``*``, a name, an address or a network."""
    if "/" in entry:
        try:
            return ip_address(host) in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit() and (":" not in name or name.endswith("]")):
        if wanted != str(port):
            return False
        entry = name
    entry = entry.strip("[]")
    if entry.startswith("*."):
        entry = entry[1:]  # like ".example.com": what is below it, not the domain itself
    below = f".{entry.lstrip('.')}"
    return bool(entry) and (entry in ("*", host) or host.endswith(below))
