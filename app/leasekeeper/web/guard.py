"""Who may ask for what, and what a browser may do with the answer.

/health and /metrics are for machines: load balancers and Prometheus ask by any name and from
anywhere the address can be reached. Everything else is for people, and for the command line: it is
answered to those on this machine (or wherever `web.page` says), and only under a name that cannot
be somebody else's. A page in a browser that has its own domain point to us (DNS rebinding) asks
under that domain, and one that posts a form to us says where it comes from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Literal

from aiohttp import web

PUBLIC = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/agent/v1/metrics"})
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_Peer = ipaddress.IPv4Address | ipaddress.IPv6Address | None
Audience = Literal["loopback", "all", "off"]


async def secure(_request: web.Request, response: web.StreamResponse) -> None:
    """Add to every answer what keeps a browser from misusing it; say nothing about our software."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "leasekeeper"


class Guard:
    """Refuses what must not be answered. *names* are further names that we may be called."""

    def __init__(self, audience: Audience, names: Collection[str]) -> None:
        self._audience = audience
        self._names = {name.lower().rstrip(".") for name in names} | {"localhost"}

    def check(self, request: web.Request) -> None:
        """Return if *request* may be answered.

        :raises HTTPException: with the reason, if not.
        """
        if request.path in PUBLIC:
            return
        if request.path.startswith("/agent/v1/"):  # Vault Agent's, allowed address by address
            self._check_origin(request)
            return
        peer = _peer(request)
        if request.path.startswith("/v1/"):
            self._check_control(request, peer)
            return
        if self._audience == "off":
            raise web.HTTPNotFound
        if peer is None:
            return  # a socket of this machine: no browser, and file modes say who may
        if self._audience == "loopback" and not peer.is_loopback:
            msg = "only for this machine; web.page: all opens it to everybody who gets here\n"
            raise web.HTTPForbidden(text=msg)
        if not self._is_ours(request.headers.get("Host", "")):
            msg = "not a name of ours; web.allowed_hosts lists further ones\n"
            raise _Misdirected(text=msg)
        self._check_origin(request)

    def _check_control(self, request: web.Request, peer: _Peer) -> None:
        """Let nobody in who is not on this machine, whatever else is open to everybody."""
        if peer is None:
            return
        if not peer.is_loopback:
            raise web.HTTPForbidden(text="only for this machine")
        if not self._is_ours(request.headers.get("Host", "")):
            raise _Misdirected(text="not a name of ours")
        self._check_origin(request)

    def _is_ours(self, host: str) -> bool:
        """Whether nobody else can have us asked under *host*: an address is nobody's domain."""
        name = _without_port(host).lower().rstrip(".")
        return name in self._names or _address(name) is not None

    def _check_origin(self, request: web.Request) -> None:
        """Refuse what a page of another origin has a browser send."""
        site = request.headers.get("Sec-Fetch-Site", "none")
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("Host")
        if foreign or (site not in ("none", "same-origin") and not _is_followed_link(request)):
            raise web.HTTPForbidden(text="not from the page of another origin\n")


def _is_followed_link(request: web.Request) -> bool:
    return request.method in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Mode") == "navigate"


class _Misdirected(web.HTTPClientError):
    status_code = 421


def _peer(request: web.Request) -> _Peer:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return _address(str(peer[0])) if isinstance(peer, tuple) and peer else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
