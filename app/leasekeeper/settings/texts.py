"""How the text of a configuration gets here: out of a file or out of an environment variable."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING

from leasekeeper.settings.draft import Origin

if TYPE_CHECKING:
    from leasekeeper.settings.problems import Problems

MAX_BYTES = 4 * 1024 * 1024
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_GZIP = b"\x1f\x8b"


class NotText(Exception):
    """The bytes are not the text they should be; the message says why and shows none of them."""


def read_file(path: str, problems: Problems) -> str | None:
    """Return the text of the file at *path*, or None with the reason added to *problems*."""
    try:
        with open(path, "rb") as file:
            return decoded(file.read(MAX_BYTES + 1))
    except IsADirectoryError:
        reason = "is a directory; the name of a file is needed"
    except FileNotFoundError:
        reason = "there is no such file" if path else "the name of the file is empty"
    except PermissionError:
        reason = f"may not be read by user {os.geteuid()}; change its mode or owner"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError:  # a zero byte, or a lone surrogate
        reason = "is not the name of a file"
    except NotText as error:
        reason = str(error)
    problems.add(Origin(path or "--config"), reason, code="LK-CONF-005")
    return None


def unpack(packed: str, origin: Origin, problems: Problems) -> str | None:
    """Return the YAML that *packed* is: plain, as base64, or as base64 of gzip.

    Returns None, with the reason added to *problems*, when it is none of them.
    """
    if packed.startswith(("/", "./", "../")) and not packed.startswith("//"):
        reason = "needs the text of a configuration; the name of a file goes behind --config"
    else:
        try:
            return _unpacked(packed)
        except NotText as error:
            reason = str(error)
    problems.add(origin, reason, code="LK-CONF-005")
    return None


def _unpacked(packed: str) -> str:
    # Every YAML that means something here has a colon or a space, which base64 never has.
    if not _BASE64.issuperset(packed.strip().replace("\r", "").replace("\n", "")):
        return decoded(packed.encode())
    data = from_base64(packed)
    try:
        return decoded(_from_gzip(data) if data.startswith(_GZIP) else data)
    except NotText as error:
        msg = f"is base64 of something that {error}"
        raise NotText(msg) from None


def from_base64(text: str) -> bytes:
    """Return what *text* encodes; line breaks, the URL alphabet and missing padding are fine.

    :raises NotText: if it is not base64.
    """
    import base64

    text = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        msg = "is not valid base64; encode it with `base64 -w0`"
        raise NotText(msg) from None


def decoded(data: bytes) -> str:
    """Return *data* as text.

    :raises NotText: if it is not UTF-8, or larger than a configuration may be.
    """
    if len(data) > MAX_BYTES:
        msg = "is larger than 4 MiB, which no configuration is"
        raise NotText(msg)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        msg = "is UTF-16; save it as UTF-8"
        raise NotText(msg)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f"is not UTF-8 in line {line}; save it as UTF-8"
        raise NotText(msg) from None


def _from_gzip(data: bytes) -> bytes:
    import zlib

    unzip = zlib.decompressobj(wbits=31)
    try:
        # One byte more than allowed is enough to see that it is too much.
        plain = unzip.decompress(data, MAX_BYTES + 1)
    except zlib.error:
        plain = b""
    if not unzip.eof and len(plain) <= MAX_BYTES:
        msg = "is a damaged gzip"
        raise NotText(msg)
    return plain
