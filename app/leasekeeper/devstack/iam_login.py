"""What Vault's aws auth method checks in an IAM login, with Vault's own words.

Learned from Vault's `builtin/credential/aws/path_login.go` and `path_config_client.go`. Every
refusal of that code is a 400 with one sentence in `errors`. Two things are worth knowing: Vault
itself does not compare the host of `iam_request_url` with anything, it sends the request to its
own STS endpoint under that host and leaves the verdict to STS; and a login that lacks one of the
four fields gets the same answer as one that has none.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlsplit

SERVER_ID_HEADER = "X-Vault-AWS-IAM-Server-ID"
FIELDS = ("iam_http_request_method", "iam_request_url", "iam_request_body", "iam_request_headers")
AMZ_HEADERS = frozenset({
    "X-Amz-Algorithm", "X-Amz-Content-Sha256", "X-Amz-Credential", "X-Amz-Date",
    "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-Signedheaders", "X-Amz-User-Agent",
})  # fmt: skip


class LoginRefused(Exception):
    """Vault answers 400 with this sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCall:
    """The signed GetCallerIdentity request of a login; header names are canonical, as in Go."""

    host: str
    path: str
    body: str
    headers: Mapping[str, Sequence[str]]

    def header(self, name: str) -> str:
        """Return the values of a header, joined by commas; absent is an empty string."""
        return ",".join(self.headers.get(canonical(name), ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who signed, according to STS."""

    arn: str
    account: str
    kind: str
    name: str

    @property
    def canonical_arn(self) -> str:
        """The ARN that roles are bound to: a session's is that of its role, without the path."""
        _, partition, *_ = self.arn.split(":")
        kind = "role" if self.kind == "assumed-role" else self.kind
        return f"arn:{partition}:iam::{self.account}:{kind}/{self.name}"

    def belongs_to(self, bound_arns: Sequence[str]) -> bool:
        """Whether one of *bound_arns* is the caller's, or a pattern with `*` at its end."""
        own = self.canonical_arn
        return any(
            own.startswith(arn[:-1]) if arn.endswith("*") else own == arn for arn in bound_arns
        )


def parse_login(payload: Mapping[str, object], *, server_id: str | None) -> SignedCall:
    """Return the signed call in a login's body.

    :raises LoginRefused: if Vault would not send it to STS.
    """
    if not all(name in payload for name in FIELDS):
        raise LoginRefused("didn't supply required authentication values")
    _check_method(_string(payload, "iam_http_request_method"))
    url = _parse_url(_decoded(payload, "iam_request_url"))
    body = _decoded(payload, "iam_request_body")
    _check_body(body)
    headers = _parse_headers(payload["iam_request_headers"])
    if not headers:
        raise LoginRefused("missing iam_request_headers")
    call = SignedCall(host=url.netloc, path=url.path or "/", body=body, headers=headers)
    if server_id:
        _check_server_id(call, server_id)
    _check_allowed(headers)
    return call


def parse_caller(arn: str) -> Caller:
    """Return the principal of the ARN that STS answered with.

    :raises LoginRefused: if it is not a user, a role or a session of a role.
    """
    parts = arn.split(":")
    if len(parts) != 6:
        what = f"unrecognized arn: contains {len(parts)} colon-separated parts, expected 6"
        raise LoginRefused(f"error parsing arn {quoted(arn)}: {what}")
    kind, *names = parts[5].split("/")
    if kind not in ("user", "role", "assumed-role", "instance-profile") or not names:
        what = f"unrecognized principal type: {quoted(kind)}"
        raise LoginRefused(f"error parsing arn {quoted(arn)}: {what}")
    name = names[0] if kind == "assumed-role" else names[-1]
    return Caller(arn=arn, account=parts[4], kind=kind, name=name)


def canonical(name: str) -> str:
    """Return a header's name as Go writes it: `x-amz-date` becomes `X-Amz-Date`."""
    return "-".join(word.capitalize() for word in name.split("-"))


def quoted(text: str) -> str:
    """Return *text* as Go's `%q` prints it."""
    return json.dumps(text, ensure_ascii=False)


def _string(payload: Mapping[str, object], name: str) -> str:
    value = payload[name]
    if not isinstance(value, str):
        raise LoginRefused(f"error converting input for field {quoted(name)}")
    if not value:
        raise LoginRefused(f"missing {name}")
    return value


def _decoded(payload: Mapping[str, object], name: str) -> str:
    try:
        return base64.b64decode(_string(payload, name), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise LoginRefused(f"failed to base64 decode {name}") from error


def _check_method(method: str) -> None:
    if method != "POST":
        raise LoginRefused("invalid iam_http_request_method; currently only 'POST' is supported")


def _parse_url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise LoginRefused("error parsing iam_request_url") from error
    if url.query:
        raise LoginRefused("invalid request")
    return url


def _check_body(body: str) -> None:
    for name, values in parse_qs(body, keep_blank_values=True).items():
        known = name == "Version" or (name == "Action" and values == ["GetCallerIdentity"])
        if not known:
            raise LoginRefused("iam request body is invalid")


def _parse_headers(raw: object) -> dict[str, list[str]]:
    """Return the headers from base64 of JSON, from JSON text, or from an object."""
    if isinstance(raw, str):
        raw = _json_object(raw)
    if not isinstance(raw, dict):
        raise LoginRefused('error converting input for field "iam_request_headers"')
    headers: dict[str, list[str]] = {}
    for name, values in raw.items():
        listed = values if isinstance(values, list) else [values]
        if not all(isinstance(value, str | int | float) for value in listed):
            raise LoginRefused(
                'error converting input for field "iam_request_headers": '
                f"received non-string value for header key:{name}"
            )
        headers.setdefault(canonical(name), []).extend(str(value) for value in listed)
    return headers


def _json_object(text: str) -> object:
    # Vault, too, takes what is not base64 for the JSON itself.
    with contextlib.suppress(binascii.Error, UnicodeDecodeError):
        text = base64.b64decode(text, validate=True).decode()
    try:
        return json.loads(text)
    except ValueError:
        return None


def _check_server_id(call: SignedCall, server_id: str) -> None:
    if (reason := _server_id_fault(call, server_id)) is not None:
        raise LoginRefused(f"error validating {SERVER_ID_HEADER} header: {reason}")


def _server_id_fault(call: SignedCall, server_id: str) -> str | None:
    if not (given := call.header(SERVER_ID_HEADER)):
        return f"missing header {quoted(SERVER_ID_HEADER)}"
    if given != server_id:
        return f"expected {quoted(server_id)} but got {quoted(given)}"
    if not (authorization := call.header("Authorization")):
        return "missing Authorization header"
    signed = re.search(r"SignedHeaders=([^,]+)", authorization)
    if signed is None or SERVER_ID_HEADER.lower() not in signed.group(1).split(";"):
        return "vault header wasn't signed"
    return None


def _check_allowed(headers: Mapping[str, object]) -> None:
    for name in headers:
        if name.startswith("X-Amz-") and name not in AMZ_HEADERS:
            raise LoginRefused(f"invalid request header: {name}")
