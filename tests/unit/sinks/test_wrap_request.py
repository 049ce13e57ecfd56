"""How a wrapping is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from leasekeeper.errors import VaultUnavailable
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.transport import Manner, Reply, Transport


class Wire(Transport):
    """Answers with *body* and remembers what was sent."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(VaultSection(address="http://fake:8200"))
        self.body = body
        self.sent: list[tuple[str, str, Mapping[str, str], object]] = []

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
        params: Mapping[str, Any] | None = None,
        *,
        manner: Manner | None = None,
    ) -> Reply:
        self.sent.append((method, path, headers, body))
        return Reply(200, {}, self.body)


def client_on(wire: Wire) -> VaultClient:
    client = VaultClient(wire._settings, transport=wire)
    client.use_token("s.canary", 1)
    return client


async def test_the_token_in_use_is_wrapped_for_whole_seconds() -> None:
    wire = Wire({"wrap_info": {"token": "s.wrapping", "ttl": "90"}})

    info = await client_on(wire).wrap_token(90.0)

    assert (info.token, info.ttl_s) == ("s.wrapping", 90)
    assert wire.sent == [
        ("POST", "/v1/sys/wrapping/wrap", {"X-Vault-Wrap-TTL": "90s"}, {"token": "s.canary"})
    ]
    assert "s.wrapping" not in repr(info)


@pytest.mark.parametrize("body", [{"data": {"token": "s.canary"}}, {"wrap_info": {}}])
async def test_an_answer_without_a_wrapping_token_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(VaultUnavailable, match="the answer has no wrap") as caught:
        await client_on(Wire(body)).wrap_token(90.0)
    assert "canary" not in str(caught.value)
