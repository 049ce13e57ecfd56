"""What Vault answers, as immutable records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class JsonNumber(str):
    """A number exactly as the server sent it.

    Vault's numbers reach templates digit by digit (Go's ``json.Number``): 1.10 stays 1.10 and a
    64-bit id loses nothing. Convert with ``int()`` or ``float()`` where arithmetic is meant.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapInfo:
    """The ``wrap_info`` object of a wrapped response."""

    token: str = field(repr=False)
    accessor: str = ""
    ttl_s: int = 0
    creation_time: str = ""
    creation_path: str = ""
    wrapped_accessor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthData:
    """The ``auth`` object of a login, a renewal or a token creation.

    With *wrapping* the token is inside it, and *client_token* is the one that unwraps it, once.
    """

    client_token: str = field(repr=False)
    accessor: str = ""
    policies: tuple[str, ...] = ()
    token_policies: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    lease_duration_s: int = 0
    renewable: bool = False
    token_type: str = "service"
    entity_id: str = ""
    num_uses: int = 0
    request_id: str = ""
    wrapping: WrapInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultResponse:
    """One answer of Vault. *data* holds `JsonNumber` for every number, and is never mutated."""

    request_id: str = ""
    lease_id: str = ""
    lease_duration_s: int = 0
    renewable: bool = False
    data: dict[str, Any] | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    auth: AuthData | None = field(default=None, repr=False)
    wrap_info: WrapInfo | None = field(default=None, repr=False)
