"""secret, secrets, pkiCert: what a template asks of Vault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.functions.secret_values import Secret, secret_of
from leasekeeper.templates.golang.functions import Function, FunctionTable, GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import (
    GoStruct,
    NilPointer,
    NilStrings,
    StringSlice,
    encode,
)

if TYPE_CHECKING:
    from leasekeeper.templates.golang.machine import Run

functions = FunctionTable()

# --- secret -----------------------------------------------------------------------------------


def _request(arguments: Sequence[str]) -> SecretRequest:
    """Return the request that ``secret`` makes of *arguments*.

    :raises GoError: in the words of Vault Agent if they make none.
    """
    path, *pairs = arguments
    values = _values(pairs)
    if pairs:
        _check_path(path, "vault.write")
        return SecretRequest.write(path, values)
    _check_path(path, "vault.read")
    # Vault Agent takes the path of a read, and of nothing else, for a part of a URL.
    bare, mark, query = path.partition("?")
    return SecretRequest.read(unquote(bare, errors="surrogateescape") + mark + query)


def _values(pairs: Sequence[str]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals and pair:
            msg = f"not k=v pair {quote(pair)}"
            raise GoError(msg)
        if pair:
            values[key.strip()] = value.strip()
    return values


def _check_path(path: str, operation: str) -> None:
    path = path.strip().strip("/")
    if not path:
        msg = f'{operation}: invalid format: ""'
        raise GoError(msg)
    if operation != "vault.read" or "%" not in path:
        return
    escape = re.search("%(?![0-9a-fA-F]{2}).{0,2}", path.partition("?")[0])
    if escape:
        msg = f"parse {quote(path)}: invalid URL escape {quote(escape[0])}"
        raise GoError(msg)


def request_of(arguments: tuple[str, ...]) -> SecretRequest | None:
    """Return the request that ``secret`` makes of constant *arguments*, if it makes one."""
    return _request(arguments) if arguments else None


@functions.add("secret", "...string", run=True, request=request_of)
def secret(run: Run, *arguments: str) -> Secret | NilPointer | None:
    """Return the secret at a path, or the answer to writing ``key=value`` pairs to it."""
    if not arguments:
        return None
    request = _request(arguments)
    snapshot = run.secret(request)
    if snapshot is None:
        return None
    # One copy for the whole render: what a template changes in it, it finds again.
    seen: dict[SecretRequest, Secret | NilPointer] = run.scratch.setdefault("secrets", {})
    if request not in seen:
        seen[request] = secret_of(snapshot.response)
    return seen[request]


# --- secrets ----------------------------------------------------------------------------------


def list_request_of(arguments: tuple[str, ...]) -> SecretRequest | None:
    """Return the request that ``secrets`` makes of constant *arguments*, if it makes one."""
    if len(arguments) != 1 or not arguments[0]:
        return None
    _check_path(arguments[0], "vault.list")
    return SecretRequest.list(arguments[0])


@functions.add("secrets", "string", run=True, request=list_request_of)
def secrets(run: Run, path: str) -> list[str]:
    """Return the sorted names of what is at a path; folders end with a slash."""
    request = list_request_of((path,))
    if request is None:
        return NilStrings()
    snapshot = run.secret(request)
    data = (snapshot.response.data if snapshot else None) or {}
    return StringSlice(sorted(data.get("keys") or (), key=encode))


# --- pkiCert ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PemEncoded(GoStruct):
    """What ``pkiCert`` returns: everything in PEM."""

    go_type = "dependency.PemEncoded"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Cert": "string",
        "Key": "string",
        "CA": "string",
        "CAChain": "[]string",
    }

    Cert: str
    Key: str = field(repr=False)
    CA: str
    CAChain: list[str]


PemEncoded.go_methods = {"Data": Function.declare("Data", lambda pem: pem)}


def pki_request_of(arguments: tuple[str, ...]) -> SecretRequest | None:
    """Return the request that ``pkiCert`` makes of constant *arguments*, if it makes one."""
    if not arguments:
        return None
    path, *pairs = arguments
    values = _values(pairs)
    _check_path(path, "vault.read")
    return replace(SecretRequest.write(path, values), kept_in_output=True)


@functions.add("pkiCert", "...string", run=True, request=pki_request_of)
def pki_cert(run: Run, *arguments: str) -> PemEncoded | None:
    """Return a certificate, its key and its authorities, all of one answer."""
    request = pki_request_of(arguments)
    snapshot = run.secret(request) if request else None
    if snapshot is None:
        return None
    data = snapshot.response.data or {}
    authority = _pem(data.get("issuing_ca"))
    chain = [_pem(item) for item in data.get("ca_chain") or ()] or (
        [authority] if authority else []
    )
    return PemEncoded(
        Cert=_pem(data.get("certificate")),
        Key=_pem(data.get("private_key")),
        CA=authority or (chain[0] if chain else ""),
        CAChain=StringSlice(chain),
    )


def _pem(value: Any) -> str:
    return f"{value.strip()}\n" if isinstance(value, str) and value.strip() else ""
