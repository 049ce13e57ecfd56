"""From records back to the JSON that Vault sent, digit by digit: what `decoding` reads."""

from __future__ import annotations

import json
from typing import Any

from leasekeeper.vault.response import AuthData, JsonNumber, VaultResponse, WrapInfo


def to_json(value: object) -> str:
    """Return *value* as JSON; a `JsonNumber` is a number again, exactly as it was sent."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, dict):
        items = (f"{json.dumps(str(key))}:{to_json(item)}" for key, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, VaultResponse):
        return to_json(_body(value))
    return json.dumps(value)


def _body(response: VaultResponse) -> dict[str, Any]:
    return {
        "request_id": response.request_id,
        "lease_id": response.lease_id,
        "lease_duration": response.lease_duration_s,
        "renewable": response.renewable,
        "data": response.data,
        "warnings": list(response.warnings),
        "auth": response.auth and _auth(response.auth),
        "wrap_info": response.wrap_info and _wrap(response.wrap_info),
    }


def _auth(auth: AuthData) -> dict[str, Any]:
    return {
        "client_token": auth.client_token,
        "accessor": auth.accessor,
        "policies": list(auth.policies),
        "token_policies": list(auth.token_policies),
        "metadata": auth.metadata,
        "lease_duration": auth.lease_duration_s,
        "renewable": auth.renewable,
        "token_type": auth.token_type,
        "entity_id": auth.entity_id,
    }


def _wrap(wrap: WrapInfo) -> dict[str, Any]:
    return {
        "token": wrap.token,
        "accessor": wrap.accessor,
        "ttl": wrap.ttl_s,
        "creation_time": wrap.creation_time,
        "creation_path": wrap.creation_path,
        "wrapped_accessor": wrap.wrapped_accessor,
    }
