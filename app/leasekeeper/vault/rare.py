"""hvac over our own transport, for the parts of Vault's API that few runs ever need.

hvac's methods return what their adapter returns. This adapter returns a coroutine, so hvac knows
the paths and the parameters, awaiting its methods works, and nothing blocks. It is imported when
it is first used: with the requests library, which it brings along, it weighs 8 MiB and 80 ms,
too much for the ten endpoints that every run speaks to (`make bench ARGS=--only=imports`).
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import hvac
from hvac.adapters import Adapter

from leasekeeper.vault.transport import Reply, Transport


def rare_api(transport: Transport) -> Any:
    """Return an ``hvac.Client`` whose methods return coroutines of `Reply`."""
    adapter = partial(AiohttpAdapter, transport=transport)
    return hvac.Client(url="http://unused", token="", verify=True, adapter=adapter)


class AiohttpAdapter(Adapter):  # type: ignore[misc]  # hvac has no types
    """The port through which hvac sends; every method returns a coroutine of `Reply`."""

    def __init__(self, *, transport: Transport, **_unused: Any) -> None:
        # Not hvac's own __init__: it would open a session of the requests library.
        self._transport = transport

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = True,  # noqa: ARG002 - hvac's signature
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Reply]:
        """Return the coroutine that sends one request."""
        headers = dict(headers or {})
        if wrap_ttl := kwargs.get("wrap_ttl"):
            headers["X-Vault-Wrap-TTL"] = str(wrap_ttl)
        return self._transport.send(method, url, headers, kwargs.get("json"), kwargs.get("params"))

    def get_login_token(self, response: Any) -> str:
        """Unused: tokens are kept by TokenKeeper."""
        raise NotImplementedError
