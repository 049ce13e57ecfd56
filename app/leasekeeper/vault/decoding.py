"""From the bytes of an answer to records: nothing that a server sends gets past here as a bug."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leasekeeper.errors import VaultRejected
from leasekeeper.vault.response import AuthData, JsonNumber, VaultResponse, WrapInfo

# Nobody nests a secret like this, and everything behind here may walk it recursively.
DEEPEST = 128
# Every answer of Vault holds one of them; `initialized` is sys/health's.
_OWN_KEYS = frozenset({"request_id", "errors", "data", "auth", "wrap_info", "initialized"})


class TooDeep(ValueError):
    """JSON that is nested deeper than `DEEPEST` levels."""


def decode(raw: bytes) -> dict[str, Any] | None:
    """Return the JSON object in *raw*, with `JsonNumber` for numbers; None if it is not Vault's.

    :raises TooDeep: if it is nested too deeply.
    """
    try:
        body = decode_any(raw)
    except TooDeep:
        raise
    except ValueError:
        return None
    if not isinstance(body, dict) or _OWN_KEYS.isdisjoint(body):
        return None
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(body) > DEEPEST:
        raise TooDeep
    return body


def decode_any(raw: bytes) -> Any:
    """Return the JSON in *raw*, with `JsonNumber` for numbers, whatever it is.

    :raises TooDeep: if it is nested too deeply for the parser.
    :raises ValueError: if it is no JSON.
    """
    try:
        return _JSON.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except RecursionError:
        raise TooDeep from None


def _no(_constant: str) -> None:
    raise ValueError  # NaN and Infinity are Python's idea of JSON


# `json.loads` would make one for each answer.
_JSON = json.JSONDecoder(parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_no)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            break
        level = [x for each in level for x in (each.values() if isinstance(each, dict) else each)]
    return depth


def response_of(body: dict[str, Any]) -> VaultResponse:
    """Return an answer's record; what is missing or of another type counts as empty."""
    auth, wrap, data = body.get("auth"), body.get("wrap_info"), body.get("data")
    return VaultResponse(
        request_id=_text(body.get("request_id")),
        lease_id=_text(body.get("lease_id")),
        lease_duration_s=whole(body.get("lease_duration")),
        renewable=body.get("renewable") is True,
        data=data if isinstance(data, dict) else None,
        warnings=_texts(body.get("warnings")),
        auth=_auth(auth, _text(body.get("request_id"))) if isinstance(auth, dict) else None,
        wrap_info=_wrap(wrap) if isinstance(wrap, dict) else None,
    )


_JSON_NAMES = {str: "string", JsonNumber: "number", bool: "bool", dict: "object", list: "array"}
_TYPES: Mapping[str, tuple[type, str]] = {
    "request_id": (str, "string"),
    "lease_id": (str, "string"),
    "lease_duration": (JsonNumber, "int"),
    "renewable": (bool, "bool"),
    "data": (dict, "map[string]interface {}"),
    "warnings": (list, "[]string"),
    "auth": (dict, "api.SecretAuth"),
    "wrap_info": (dict, "api.SecretWrapInfo"),
}
"""What every secret holds: Python's type, and Go's for the message, which is Vault Agent's."""


_NOTHING = VaultResponse()


class BadAnswer(VaultRejected):
    """A success that is not shaped like a secret: believing it would replace what is valid."""


def secret_of(body: dict[str, Any]) -> VaultResponse:
    """Return the record of a secret; a body that has nothing of one is its data, as sys/ answers.

    :raises BadAnswer: if something is of another type than it has in every secret.
    """
    for name, (kind, go_type) in _TYPES.items():
        value = body.get(name)
        if value is not None and type(value) is not kind:
            found = _JSON_NAMES[type(value)]
            raise BadAnswer(
                f"json: cannot unmarshal {found} into Go struct field Secret.{name}"
                f" of type {go_type}"
            )
    response = response_of(body)
    if response == _NOTHING and body.keys() != {"errors"}:
        return replace(response, data=body or None)
    return response


def check_keys(response: VaultResponse, path: str) -> None:
    """Look at the answer to a listing of *path*.

    :raises BadAnswer: if its keys are no texts.
    """
    keys = (response.data or {}).get("keys", [])
    if not isinstance(keys, list):
        raise BadAnswer(f"list {path!r}: unexpected response: its keys are not a list")
    if not all(type(key) is str for key in keys):
        raise BadAnswer(f"list {path!r}: non-string in list")


def _auth(auth: dict[str, Any], request_id: str) -> AuthData:
    metadata = auth.get("metadata")
    return AuthData(
        client_token=_text(auth.get("client_token")),
        accessor=_text(auth.get("accessor")),
        policies=_texts(auth.get("policies")),
        token_policies=_texts(auth.get("token_policies")),
        metadata={key: _text(value) for key, value in metadata.items()}
        if isinstance(metadata, dict)
        else {},
        lease_duration_s=whole(auth.get("lease_duration")),
        renewable=auth.get("renewable") is True,
        token_type=_text(auth.get("token_type")) or "service",
        entity_id=_text(auth.get("entity_id")),
        num_uses=whole(auth.get("num_uses")),
        request_id=request_id,
    )


def _wrap(wrap: dict[str, Any]) -> WrapInfo:
    return WrapInfo(
        token=_text(wrap.get("token")),
        accessor=_text(wrap.get("accessor")),
        ttl_s=whole(wrap.get("ttl")),
        creation_time=_text(wrap.get("creation_time")),
        creation_path=_text(wrap.get("creation_path")),
        wrapped_accessor=_text(wrap.get("wrapped_accessor")),
    )


def whole(value: object) -> int:
    """Return a JSON number as an integer; anything that is not one counts as 0."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
