"""Keeps the values of secrets out of error messages."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote as quote_url
from urllib.parse import quote_plus

from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import encode

REDACTED = "[redacted]"
_SHORT = 4
"""Values shorter than this are replaced only where they stand alone; "a" is in every message."""


def redact(message: str, snapshots: Iterable[Snapshot], values: Iterable[str] = ()) -> str:
    """Return *message* with every value of *snapshots*, and all *values*, replaced.

    Common encodings of a value (quoted, upper and lower case, base64, hexadecimal, URL) are
    replaced too: a function may have been given any of them.
    """
    secrets = {value for value in values if value.strip()}
    for snapshot in snapshots:
        secrets.update(_values(snapshot))
    forms = {form for secret in secrets for form in _forms(secret) if form in message}
    for form in sorted(forms, key=len, reverse=True):
        message = _replace(message, form)
    return message


def _replace(message: str, form: str) -> str:
    if len(form) >= _SHORT:
        return message.replace(form, REDACTED)
    return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", REDACTED, message)


def _values(snapshot: Snapshot) -> Iterator[str]:
    response = snapshot.response
    yield from _leaves(response.data)
    if response.auth is not None:
        yield response.auth.client_token
    if response.wrap_info is not None:
        yield response.wrap_info.token


def _leaves(value: Any) -> Iterator[str]:
    """Yield every string and number inside *value*."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list | tuple):
            waiting.extend(inner)
        elif isinstance(inner, str | int | float) and not isinstance(inner, bool):
            text = str(inner)
            if text.strip():
                yield text


def _forms(secret: str) -> set[str]:
    data = encode(secret)
    standard, url = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    return {
        secret,
        secret.strip(),
        secret.upper(),
        secret.lower(),
        quote(secret)[1:-1],
        quote(secret, ascii_only=True)[1:-1],
        standard,
        standard.rstrip("="),
        url,
        url.rstrip("="),
        data.hex(),
        data.hex().upper(),
        quote_plus(data),
        quote_url(data, safe=""),
    }
