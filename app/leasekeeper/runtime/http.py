"""aiohttp without the system's certificates, for requests that do not need them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from leasekeeper.runtime.imports import lacking


def import_aiohttp() -> None:
    """Import aiohttp, and keep it from reading the system's certificates twice while at it.

    Reading them costs 38 ms and 3 MiB, for contexts that no request of ours uses: each brings its
    own, from `tls_for` or made of its settings. Without certificates aiohttp's contexts trust
    nobody, so a request that forgot its own fails.

    Lists of signal handlers, made once, are as good in Python as in C: 0.9 MiB.
    """
    with _no_certificates(), lacking("frozenlist._frozenlist"):
        import aiohttp  # noqa: F401


def tls_for(url: str) -> ssl.SSLContext | bool:
    """Return what a request for *url* needs as ``ssl``: the system's certificates for https."""
    return ssl.create_default_context() if url[:6].lower() == "https:" else True


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    context = ssl.SSLContext
    load, paths = context.load_default_certs, context.set_default_verify_paths
    context.load_default_certs = lambda *_purpose: None  # type: ignore[method-assign]
    context.set_default_verify_paths = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005
    try:
        yield
    finally:
        context.load_default_certs = load  # type: ignore[method-assign]
        context.set_default_verify_paths = paths  # type: ignore[method-assign]
