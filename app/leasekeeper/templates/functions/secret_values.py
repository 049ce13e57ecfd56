"""What templates see of an answer of Vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from leasekeeper.templates.functions.deep import copied
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.values import GoStruct, NilPointer, StringMap, StringSlice
from leasekeeper.vault.response import AuthData, VaultResponse, WrapInfo


@dataclass(frozen=True, slots=True)
class SecretAuth(GoStruct):
    """``.Auth`` of a secret."""

    go_type = "dependency.SecretAuth"
    go_pointer = True
    go_fields: ClassVar[Mapping[str, str]] = {
        "ClientToken": "string",
        "Accessor": "string",
        "Policies": "[]string",
        "Metadata": "map[string]string",
        "LeaseDuration": "int",
        "Renewable": "bool",
    }

    ClientToken: str = field(repr=False)
    Accessor: str
    Policies: list[str]
    Metadata: dict[str, str]
    LeaseDuration: int
    Renewable: bool


@dataclass(frozen=True, slots=True)
class SecretWrapInfo(GoStruct):
    """``.WrapInfo`` of a secret."""

    go_type = "dependency.SecretWrapInfo"
    go_pointer = True
    go_fields: ClassVar[Mapping[str, str]] = {
        "Token": "string",
        "TTL": "int",
        "CreationTime": "time.Time",
        "WrappedAccessor": "string",
    }

    Token: str = field(repr=False)
    TTL: int
    CreationTime: Any
    WrappedAccessor: str


@dataclass(frozen=True, slots=True, repr=False)
class Secret(GoStruct):
    """What ``secret`` returns."""

    go_type = "dependency.Secret"
    go_pointer = True
    go_fields: ClassVar[Mapping[str, str]] = {
        "RequestID": "string",
        "LeaseID": "string",
        "LeaseDuration": "int",
        "Renewable": "bool",
        "Data": "map[string]interface {}",
        "Warnings": "[]string",
        "Auth": "*dependency.SecretAuth",
        "WrapInfo": "*dependency.SecretWrapInfo",
    }

    RequestID: str
    LeaseID: str
    LeaseDuration: int
    Renewable: bool
    Data: dict[str, Any]
    Warnings: list[str]
    Auth: SecretAuth | NilPointer
    WrapInfo: SecretWrapInfo | NilPointer


def secret_of(response: VaultResponse) -> Secret | NilPointer:
    """Return what templates see of *response*: a copy of their own, that they may change.

    An answer without any content, as KV version 1 gives to a write, is a nil pointer.
    """
    if response == VaultResponse():
        return NilPointer("*dependency.Secret")
    return Secret(
        RequestID=response.request_id,
        LeaseID=response.lease_id,
        LeaseDuration=response.lease_duration_s,
        Renewable=response.renewable,
        Data=copied(response.data or {}),
        Warnings=StringSlice(response.warnings),
        Auth=_auth_of(response.auth),
        WrapInfo=_wrap_info_of(response.wrap_info),
    )


def _auth_of(auth: AuthData | None) -> SecretAuth | NilPointer:
    if auth is None:
        return NilPointer("*dependency.SecretAuth")
    return SecretAuth(
        ClientToken=auth.client_token,
        Accessor=auth.accessor,
        Policies=StringSlice(auth.policies),
        Metadata=StringMap(auth.metadata),
        LeaseDuration=auth.lease_duration_s,
        Renewable=auth.renewable,
    )


def _wrap_info_of(info: WrapInfo | None) -> SecretWrapInfo | NilPointer:
    if info is None:
        return NilPointer("*dependency.SecretWrapInfo")
    return SecretWrapInfo(
        Token=info.token,
        TTL=info.ttl_s,
        CreationTime=_time_of(info.creation_time),
        WrappedAccessor=info.wrapped_accessor,
    )


def _time_of(text: str) -> Any:
    # Wrapped answers are rare, and dates are a module of their own.
    from datetime import UTC

    from leasekeeper.templates.functions.go_layout import parse_time
    from leasekeeper.templates.functions.go_time import RFC3339_NANO, ZERO

    try:
        return parse_time(RFC3339_NANO, text, UTC)
    except GoError:
        return ZERO
