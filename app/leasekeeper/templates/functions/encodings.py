"""Base64 and digests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.values import decode, encode

functions = FunctionTable()

_WHOLE = re.compile(rb"(?:[^=]{4})*(?:[^=]{2}==|[^=]{3}=)?")


def decode_base64(text: str, *, url: bool = False) -> str:
    """Return what *text* encodes; line breaks in it are skipped, as Go does.

    :raises GoError: ``illegal base64 data at input byte N``.
    """
    data = encode(text)
    compact = data.translate(None, b"\r\n")
    alphabet = rb"[A-Za-z0-9_=-]*" if url else rb"[A-Za-z0-9+/=]*"
    if not (re.fullmatch(alphabet, compact) and _WHOLE.fullmatch(compact)):
        msg = f"illegal base64 data at input byte {_fault(data, url=url)}"
        raise GoError(msg)
    return decode(base64.b64decode(compact, b"-_" if url else None))


def _fault(data: bytes, *, url: bool) -> int:
    """Return where Go would say that *data* is wrong: at a character, or where a group began."""
    valid = re.compile(rb"[A-Za-z0-9_-]" if url else rb"[A-Za-z0-9+/]")
    in_group = 0
    for at, byte in enumerate(data):
        if byte in b"\r\n":
            continue
        if byte == ord("="):
            return _fault_in_padding(data, at, in_group)
        if not valid.match(data, at):
            return at
        in_group = (in_group + 1) % 4
    return len(data) - in_group


def _fault_in_padding(data: bytes, at: int, in_group: int) -> int:
    if in_group < 2:
        return at
    rest = at + 1
    if in_group == 2:
        rest = _skip_breaks(data, rest)
        if rest == len(data):
            return rest
        if data[rest : rest + 1] != b"=":
            return rest - 1
        rest += 1
    return _skip_breaks(data, rest)


def _skip_breaks(data: bytes, at: int) -> int:
    while data[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


@functions.add("base64Decode", "string")
def base64_decode(text: str) -> str:
    """Return what the standard base64 *text* encodes."""
    return _named("base64Decode", text, url=False)


@functions.add("base64URLDecode", "string")
def base64_url_decode(text: str) -> str:
    """Return what the URL-safe base64 *text* encodes."""
    return _named("base64URLDecode", text, url=True)


def _named(function: str, text: str, *, url: bool) -> str:
    try:
        return decode_base64(text, url=url)
    except GoError as error:
        msg = f"{function}: {error}"
        raise GoError(msg) from None


@functions.add("base64Encode", "string")
def base64_encode(text: str) -> str:
    """Return *text* in standard base64."""
    return base64.b64encode(encode(text)).decode()


@functions.add("base64URLEncode", "string")
def base64_url_encode(text: str) -> str:
    """Return *text* in URL-safe base64."""
    return base64.urlsafe_b64encode(encode(text)).decode()


@functions.add("sha256Hex", "string")
def sha256_hex(text: str) -> str:
    """Return the SHA-256 digest of *text*."""
    return hashlib.sha256(encode(text)).hexdigest()


@functions.add("md5sum", "string")
def md5sum(text: str) -> str:
    """Return the MD5 digest of *text*; it protects nothing."""
    return hashlib.md5(encode(text), usedforsecurity=False).hexdigest()


@functions.add("hmacSHA256Hex", "string", "string")
def hmac_sha256_hex(message: str, key: str) -> str:
    """Return the HMAC of *message* under *key*."""
    return hmac.new(encode(key), encode(message), "sha256").hexdigest()
