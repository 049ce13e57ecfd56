"""The file's format, and its encryption.

::

    leasekeeper state 1\n
    {"encryption": "key", "salt": "..."}\n
    nonce (12 bytes), AES-256-GCM of the document and its tag (16 bytes)

The first two lines and the identity are authenticated with the document. Without encryption the
third part is a digest of all of that, which finds damage and foreign files, and the document.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from leasekeeper.errors import AwsCredentialsError
from leasekeeper.settings.state import StateEncryption
from leasekeeper.state.identity import Identity

VERSION = 1
_MAGIC = b"leasekeeper state "
_NONCE_BYTES, _SALT_BYTES, _KEY_BYTES = 12, 16, 32
_FOREIGN = "it was made by another task, for another Vault or with another key, or it is damaged"


class StateRejected(Exception):
    """A file that cannot be used, and why; the text holds nothing of it."""


class SealUnavailable(Exception):
    """There is no key to encrypt with (yet), and why."""


class Seal(Protocol):
    """Turns documents into files; one for the life of the process."""

    def seal(self, document: bytes) -> bytes:
        """Return the content of the file."""

    def open(self, sealed: Sealed) -> bytes:
        """Return the document.

        :raises StateRejected: if it is not ours, or not whole.
        """


@dataclass(frozen=True, slots=True)
class Sealed:
    """The parts of a file. *head* is the first two lines, *header* the second one, read."""

    head: bytes
    header: Mapping[str, str]
    body: bytes = field(repr=False)

    @classmethod
    def parse(cls, content: bytes) -> Sealed:
        """Take a file apart.

        :raises StateRejected: if it is no state, or that of a later version.
        """
        first, _, rest = content.partition(b"\n")
        second, mark, body = rest.partition(b"\n")
        if not content.startswith(_MAGIC) or not mark:
            raise StateRejected("it is not a state of Leasekeeper, or is cut off")
        if first != _MAGIC + b"%d" % VERSION:
            raise StateRejected("it was written by another version of Leasekeeper")
        try:
            header = json.loads(second)
        except ValueError:
            header = None
        if not isinstance(header, dict) or not all(isinstance(v, str) for v in header.values()):
            raise StateRejected("it is damaged")
        return cls(first + b"\n" + second + b"\n", header, body)


def _head(header: Mapping[str, str]) -> bytes:
    return _MAGIC + b"%d\n" % VERSION + json.dumps(header).encode() + b"\n"


class PlainSeal:
    """No encryption."""

    def __init__(self, identity: Identity) -> None:
        self._bound = identity.bound
        self._head = _head({"encryption": "none"})

    def seal(self, document: bytes) -> bytes:
        """Return the content of the file."""
        return self._head + self._digest(self._head, document) + document

    def open(self, sealed: Sealed) -> bytes:
        """Return the document."""
        digest, document = sealed.body[:_KEY_BYTES], sealed.body[_KEY_BYTES:]
        if sealed.header.get("encryption") != "none":
            raise StateRejected("it is encrypted, and the configuration says that it is not")
        if digest != self._digest(sealed.head, document):
            raise StateRejected(_FOREIGN)
        return document

    def _digest(self, head: bytes, document: bytes) -> bytes:
        return hashlib.sha256(head + self._bound + document).digest()


class KeySeal:
    """AES-256-GCM with one key and a new nonce for each file."""

    def __init__(self, key: bytes, header: Mapping[str, str], identity: Identity) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self._bound = identity.bound
        self._head = _head(header)

    def seal(self, document: bytes) -> bytes:
        """Return the content of the file."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._cipher.encrypt(nonce, document, self._head + self._bound)

    def open(self, sealed: Sealed) -> bytes:
        """Return the document."""
        from cryptography.exceptions import InvalidTag

        nonce, text = sealed.body[:_NONCE_BYTES], sealed.body[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, text, sealed.head + self._bound)
        except (InvalidTag, ValueError):
            raise StateRejected(_FOREIGN) from None


def seal_for(encryption: StateEncryption, identity: Identity, sealed: Sealed | None = None) -> Seal:
    """Return the seal that the configuration asks for; the one that made *sealed*, if given.

    It blocks: loading botocore takes up to a second, and KMS may take `aws.kms.DEADLINE_S`.

    :raises StateRejected: if *sealed* was encrypted in another way, or its key cannot be had.
    :raises SealUnavailable: if KMS gives no new key.
    """
    if encryption.none:
        return PlainSeal(identity)
    if encryption.key is not None:
        salt = os.urandom(_SALT_BYTES) if sealed is None else _field(sealed, "key", "salt")
        key = _derived(encryption.key.get_secret_value().encode(), salt)
        return KeySeal(key, {"encryption": "key", "salt": _text(salt)}, identity)
    assert encryption.kms_key_id is not None
    return _kms_seal(encryption.kms_key_id, identity, sealed)


def _kms_seal(key_id: str, identity: Identity, sealed: Sealed | None) -> Seal:
    from leasekeeper.aws.kms import KmsError, KmsKey

    kms = KmsKey(key_id, identity.kms_context)
    try:
        if sealed is None:
            key, blob = asyncio.run(kms.generate())
        else:
            blob = _field(sealed, "kms", "data_key")
            key = asyncio.run(kms.decrypt(blob))
    except (KmsError, AwsCredentialsError) as error:
        kind = SealUnavailable if sealed is None else StateRejected
        raise kind(str(error)) from error
    return KeySeal(key, {"encryption": "kms", "data_key": _text(blob)}, identity)


def _derived(secret: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), _KEY_BYTES, salt, b"leasekeeper state").derive(secret)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _field(sealed: Sealed, encryption: str, name: str) -> bytes:
    if sealed.header.get("encryption") != encryption:
        raise StateRejected("it is encrypted in another way than the configuration says")
    try:
        return base64.b64decode(sealed.header.get(name, ""), validate=True)
    except ValueError:
        raise StateRejected("it is damaged") from None
