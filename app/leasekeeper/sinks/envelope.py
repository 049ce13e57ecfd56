"""What a sink writes, byte for byte as Vault Agent does.

`cryptography` is imported by the functions that need it: few sinks are encrypted.
"""

from __future__ import annotations

import base64
import json
import os

from leasekeeper.errors import SinkError
from leasekeeper.files.file_errors import translated
from leasekeeper.vault.response import WrapInfo

KEY_BYTES = 32
NONCE_BYTES = 12
_LARGEST_KEY_FILE = 64 << 10


def wrapping(info: WrapInfo) -> bytes:
    """Return the JSON in which a wrapping token is written."""
    return _json(
        {
            "token": info.token,
            "accessor": info.accessor,
            "ttl": info.ttl_s,
            "creation_time": info.creation_time,
            "creation_path": info.creation_path,
            "wrapped_accessor": info.wrapped_accessor,
        }
    )


def read_public_key(path: str) -> bytes:
    """Return the reader's public key from the file at *path*. Blocks.

    :raises OutputError: if the file cannot be read, or does not hold a key.
    """
    with translated(path, "reading the public key in"):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            text = file.read(_LARGEST_KEY_FILE)
    try:
        key = base64.b64decode(json.loads(text)["curve25519_public_key"], validate=True)
    except (ValueError, TypeError, LookupError, RecursionError):
        key = b""  # the cause may quote the file
    if len(key) != KEY_BYTES:
        raise SinkError(
            f"{path} does not hold a public key",
            hint='it needs to be {"curve25519_public_key": "<32 bytes in base64>"}',
        )
    return key


def seal(payload: bytes, public_key: bytes, *, derive_key: bool, aad: bytes) -> bytes:
    """Return *payload* encrypted for the owner of *public_key*, as JSON.

    With *derive_key* the AES key is derived from the shared secret, otherwise it is the secret.

    :raises SinkError: if no secret can be shared with the owner of such a key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # A new pair for each envelope: what one key has sealed, no other key's loss opens.
    ours = X25519PrivateKey.generate()
    key = _shared_key(ours.private_bytes_raw(), public_key, derive_key=derive_key)
    nonce = os.urandom(NONCE_BYTES)
    return _json(
        {
            "curve25519_public_key": _base64(ours.public_key().public_bytes_raw()),
            "nonce": _base64(nonce),
            "encrypted_payload": _base64(AESGCM(key).encrypt(nonce, payload, aad)),
        }
    )


def unseal(envelope: bytes, private_key: bytes, *, derive_key: bool, aad: bytes) -> bytes:
    """Return what was encrypted for the owner of *private_key*: the reader's part.

    :raises SinkError: if it was not, or not with *derive_key* and *aad*, or not left as it was.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        fields = {name: base64.b64decode(text) for name, text in json.loads(envelope).items()}
        key = _shared_key(private_key, fields["curve25519_public_key"], derive_key=derive_key)
        return AESGCM(key).decrypt(fields["nonce"], fields["encrypted_payload"], aad)
    except (InvalidTag, ValueError, TypeError, LookupError, AttributeError) as error:
        raise SinkError("the envelope cannot be opened") from error


def _shared_key(private_key: bytes, public_key: bytes, *, derive_key: bool) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    ours = X25519PrivateKey.from_private_bytes(private_key)
    try:
        secret = ours.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:  # a point of small order: everybody would know the secret
        raise SinkError("the public key of the reader is not a usable one") from None
    if not derive_key:
        return secret
    return _derived(secret, ours.public_key().public_bytes_raw(), public_key)


def _derived(secret: bytes, one: bytes, other: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    # Sorted, so that both sides agree who is the salt.
    salt, info = sorted((one, other))
    return HKDF(SHA256(), KEY_BYTES, salt, info).derive(secret)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
