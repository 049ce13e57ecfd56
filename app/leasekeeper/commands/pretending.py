"""Rendering with made-up values: what an output looks like, and what it asks for, without Vault."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leasekeeper.errors import AgentError
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.settings.model import Settings
from leasekeeper.sources import Dialect, compile_environment, compile_sources
from leasekeeper.templates.golang.values import EMPTY_INTERFACE, GoMap
from leasekeeper.templates.source import Effect, FileRequest, RenderContext, Source
from leasekeeper.vault.response import JsonNumber, VaultResponse

MADE_UP = "made-up-"
"""Every value that is made up, and no real one, begins with this where it can."""
MADE_UP_PEM = "bWFkZSB1cA=="
"""The only line of every certificate and key that is made up."""
_PEM = f"-----BEGIN {{0}}-----\n{MADE_UP_PEM}\n-----END {{0}}-----"
# Words in keys, and what a template that reads such a key may do arithmetic with or parse.
_NUMBERS = {"port": "5432", "ttl": "3600", "expiration": "4102444800", "version": "1"}
_LISTS = {"ca_chain": [_PEM.format("CERTIFICATE")], "keys": [f"{MADE_UP}a", f"{MADE_UP}b"]}
_PEMS = {
    **dict.fromkeys(("certificate", "issuing_ca"), _PEM.format("CERTIFICATE")),
    "private_key": _PEM.format("PRIVATE KEY"),
}
APPLICATION = "(environment of the application)"


class MadeUp(GoMap):
    """A map that has every key, as ``map[string]interface {}`` looks to a template."""

    __slots__ = ()
    go_type = "map[string]interface {}"
    key = "string"
    element = EMPTY_INTERFACE

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return made_up(name)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - there is always one
        """Return the value of *name*."""
        return self[name]


def made_up(name: str) -> Any:
    """Return a value for the key *name* of a secret."""
    if name in ("data", "metadata"):
        return _kv2_data() if name == "data" else {"version": JsonNumber("1")}
    if name in _NUMBERS:
        return JsonNumber(_NUMBERS[name])
    return _LISTS.get(name) or _PEMS.get(name) or f"{MADE_UP}{name}"


def _kv2_data() -> MadeUp:
    return MadeUp({"key": f"{MADE_UP}value"})


def answer(request: SecretRequest) -> VaultResponse:
    """Return what Vault could say to *request*."""
    if request.operation is Operation.LIST:
        return VaultResponse(data={"keys": _LISTS["keys"]})
    segments = request.path.split("/")
    if "data" in segments[1:-1]:
        data = MadeUp({"data": _kv2_data(), "metadata": {"version": JsonNumber("1")}})
    else:
        data = MadeUp({"username": made_up("username"), "password": made_up("password")})
    return VaultResponse(request_id=f"{MADE_UP}request", data=data)


@dataclass(frozen=True, kw_only=True)
class Pretence:
    """What one output looked like. *text* is None when *error* says why there is none."""

    label: str
    destination: str | None
    """Where it would go; None for the application's environment."""
    text: str | None = field(repr=False)
    requests: frozenset[SecretRequest]
    error: AgentError | None = None
    effects: tuple[Effect, ...] = ()


def pretend_all(settings: Settings, dialect: Dialect) -> list[Pretence]:
    """Render everything with made-up values. Local files and the environment are the real ones.

    :raises ConfigError: if a template does not parse.
    """
    found = [
        pretend(source, output.label, output.destination)
        for output, source in compile_sources(settings, dialect)
    ]
    environment = compile_environment(settings, dialect)
    if environment is not None:
        found.append(pretend(environment, APPLICATION, None))
    return found


def pretend(source: Source, label: str, destination: str | None) -> Pretence:
    """Render *source* with made-up values."""
    asked: set[SecretRequest] = set(source.static_requests())

    def secret(request: SecretRequest) -> Snapshot:
        asked.add(request)
        return snapshot(request, answer(request))

    context = RenderContext(secret=secret, file=content_of, environ=os.environ)
    text: str | None = None
    error: AgentError | None = None
    effects: tuple[Effect, ...] = ()
    try:
        rendered = source.render(context)
        text, effects = rendered.text, rendered.effects
    except AgentError as failed:
        error = failed
    return Pretence(
        label=label,
        destination=destination,
        text=text,
        requests=frozenset(asked),
        error=error,
        effects=effects,
    )


def snapshot(request: SecretRequest, response: VaultResponse) -> Snapshot:
    """Return *response* as templates want it."""
    return Snapshot(
        request=request, kind=SecretKind.STATIC, response=response, generation=1, issued_at=0.0
    )


def content_of(request: FileRequest) -> str:
    """Return a local file's content, or something in its place when there is none."""
    try:
        with open(request.path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return f"{MADE_UP}content of {request.path}\n"


def users_of(pretences: list[Pretence]) -> Mapping[SecretRequest, list[str]]:
    """Return every request with the labels of the outputs that make it, sorted."""
    users: dict[SecretRequest, list[str]] = {}
    for one in pretences:
        for request in one.requests:
            users.setdefault(request, []).append(one.label)
    return dict(sorted(users.items(), key=lambda item: (item[0].path, item[0].operation.value)))
