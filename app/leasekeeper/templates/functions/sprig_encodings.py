"""sprig's encodings and digests."""

from __future__ import annotations

import base64
import hashlib
import zlib

from leasekeeper.templates.functions.encodings import base64_encode, decode_base64, sha256_hex
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.values import decode, encode

functions = FunctionTable()

functions.add("sprig_b64enc", "string")(base64_encode)
functions.add("sprig_sha256sum", "string")(sha256_hex)


@functions.add("sprig_b64dec", "string")
def b64dec(text: str) -> str:
    """Return what *text* encodes, or what is wrong with it."""
    try:
        return decode_base64(text)
    except GoError as error:
        return str(error)


@functions.add("sprig_b32enc", "string")
def b32enc(text: str) -> str:
    """Return *text* in base32."""
    return base64.b32encode(encode(text)).decode()


@functions.add("sprig_b32dec", "string")
def b32dec(text: str) -> str:
    """Return what *text* encodes, or what is wrong with it."""
    data = encode(text).translate(None, b"\r\n")
    out = bytearray()
    try:
        for at in range(0, len(data), _GROUP):
            digits, last = _base32_group(data, at)
            bits = sum(digit << 5 * (_GROUP - 1 - place) for place, digit in enumerate(digits))
            out += bits.to_bytes(5, "big")[: len(digits) * 5 // 8]
            if last:
                break
    except GoError as error:
        return str(error)
    return decode(bytes(out))


_GROUP = 8
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _base32_group(data: bytes, start: int) -> tuple[list[int], bool]:
    """Return the digits of the group at *start*, and whether padding ended it.

    :raises GoError: where Go would find fault.
    """
    digits: list[int] = []
    for at in range(start, start + _GROUP):
        if at == len(data):
            raise _base32_fault(start)
        if data[at] == ord("=") and len(digits) >= 2 and len(data) - at <= _GROUP:
            _check_padding(data, at, len(digits))
            return digits, True
        digit = _BASE32.find(data[at : at + 1])
        if digit < 0:
            raise _base32_fault(at)
        digits.append(digit)
    return digits, False


def _check_padding(data: bytes, at: int, digits: int) -> None:
    missing = _GROUP - 1 - digits
    if len(data) - at - 1 < missing:
        raise _base32_fault(len(data))
    for place in range(missing):
        if data[at + 1 + place] != ord("="):
            raise _base32_fault(at + place)
    if digits in {1, 3, 6}:
        raise _base32_fault(at)


def _base32_fault(at: int) -> GoError:
    return GoError(f"illegal base32 data at input byte {at}")


@functions.add("sprig_sha1sum", "string")
def sha1sum(text: str) -> str:
    """Return the SHA-1 digest of *text*; it protects nothing."""
    return hashlib.sha1(encode(text), usedforsecurity=False).hexdigest()


@functions.add("sprig_sha512sum", "string")
def sha512sum(text: str) -> str:
    """Return the SHA-512 digest of *text*."""
    return hashlib.sha512(encode(text)).hexdigest()


@functions.add("sprig_adler32sum", "string")
def adler32sum(text: str) -> str:
    """Return the Adler-32 checksum of *text*, in decimal."""
    return str(zlib.adler32(encode(text)))
