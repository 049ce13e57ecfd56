"""What a sink writes, against the algorithm as Vault Agent documents it, written once more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leasekeeper.errors import PublishError, SinkError
from leasekeeper.sinks.envelope import read_public_key, seal, unseal, wrapping
from leasekeeper.vault.response import WrapInfo

PAYLOAD = b"s.canary-token"


def opened_by_the_book(
    envelope: bytes, reader: X25519PrivateKey, *, derive: bool, aad: bytes
) -> bytes:
    """Open an envelope; HKDF (RFC 5869) by hand, one block of SHA-256."""
    parts = {name: base64.b64decode(text) for name, text in json.loads(envelope).items()}
    theirs = parts["curve25519_public_key"]
    key = reader.exchange(X25519PublicKey.from_public_bytes(theirs))
    if derive:
        mine = reader.public_key().public_bytes_raw()
        salt, info = (mine, theirs) if mine < theirs else (theirs, mine)
        extracted = hmac.new(salt, key, hashlib.sha256).digest()
        key = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
    return AESGCM(key).decrypt(parts["nonce"], parts["encrypted_payload"], aad)


@pytest.fixture
def reader() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


@pytest.mark.parametrize("derive", [False, True])
@pytest.mark.parametrize("aad", [b"", b"task/1"])
def test_the_reader_opens_what_was_sealed_for_it(
    reader: X25519PrivateKey, derive: bool, aad: bytes
) -> None:
    public = reader.public_key().public_bytes_raw()
    # Often enough that either key comes first in the order.
    for _ in range(8):
        sealed = seal(PAYLOAD, public, derive_key=derive, aad=aad)

        assert opened_by_the_book(sealed, reader, derive=derive, aad=aad) == PAYLOAD
        assert unseal(sealed, reader.private_bytes_raw(), derive_key=derive, aad=aad) == PAYLOAD
        assert PAYLOAD not in sealed


def test_an_envelope_is_written_as_vault_agent_writes_it(reader: X25519PrivateKey) -> None:
    sealed = seal(PAYLOAD, reader.public_key().public_bytes_raw(), derive_key=False, aad=b"")
    fields = json.loads(sealed)

    assert list(fields) == ["curve25519_public_key", "nonce", "encrypted_payload"]
    assert [len(base64.b64decode(text)) for text in fields.values()] == [32, 12, len(PAYLOAD) + 16]
    assert sealed == json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def test_no_two_envelopes_have_a_key_or_a_nonce_in_common(reader: X25519PrivateKey) -> None:
    public = reader.public_key().public_bytes_raw()
    one, two = (json.loads(seal(PAYLOAD, public, derive_key=True, aad=b"")) for _ in "12")

    assert not set(one.values()) & set(two.values())


@pytest.mark.parametrize("wrong", [{"derive_key": False}, {"aad": b"task/2"}])
def test_another_derivation_or_other_data_opens_nothing(
    reader: X25519PrivateKey, wrong: dict[str, Any]
) -> None:
    terms: dict[str, Any] = {"derive_key": True, "aad": b"task/1"}
    sealed = seal(PAYLOAD, reader.public_key().public_bytes_raw(), **terms)

    with pytest.raises(SinkError, match="cannot be opened"):
        unseal(sealed, reader.private_bytes_raw(), **{**terms, **wrong})


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"nonce": 1}', b'{"nonce": "AAAA"}', b"\xff"])
def test_what_is_no_envelope_is_a_clean_error(reader: X25519PrivateKey, broken: bytes) -> None:
    with pytest.raises(SinkError):
        unseal(broken, reader.private_bytes_raw(), derive_key=False, aad=b"")


def test_a_key_with_which_everybody_shares_the_secret_is_refused() -> None:
    with pytest.raises(SinkError, match="not a usable one"):
        seal(PAYLOAD, bytes(32), derive_key=False, aad=b"")


def test_the_readers_key_is_read_from_its_file(reader: X25519PrivateKey, tmp_path: Path) -> None:
    public = reader.public_key().public_bytes_raw()
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"curve25519_public_key": base64.b64encode(public).decode()}))

    assert read_public_key(str(path)) == public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary",
        "[]",
        "{}",
        '{"curve25519_public_key": ""}',
        '{"curve25519_public_key": "canary"}',
        '{"curve25519_public_key": 7}',
        "[" * 50_000,
    ],
)
def test_what_is_no_key_is_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)

    with pytest.raises(SinkError, match="does not hold a public key") as caught:
        read_public_key(str(path))
    assert "canary" not in str(caught.value)
    assert caught.value.retryable


def test_a_key_that_is_not_there_yet_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"reading the public key in .*: No such file") as caught:
        read_public_key(str(tmp_path / "key.json"))
    assert caught.value.retryable


def test_a_wrapping_is_written_as_vault_agent_writes_it() -> None:
    info = WrapInfo(
        token="s.raK6jeXXyiQRzgniScghXUnj",
        accessor="lLYzpge74blLKiFnjHHt3xYX",
        ttl_s=300,
        creation_time="2026-01-31T17:50:03.816676056Z",
        creation_path="sys/wrapping/wrap",
    )

    assert wrapping(info) == (
        b'{"token":"s.raK6jeXXyiQRzgniScghXUnj","accessor":"lLYzpge74blLKiFnjHHt3xYX","ttl":300,'
        b'"creation_time":"2026-01-31T17:50:03.816676056Z","creation_path":"sys/wrapping/wrap",'
        b'"wrapped_accessor":""}\n'
    )


def test_the_cryptography_library_is_only_imported_when_used() -> None:
    code = (
        "import sys; import leasekeeper.sinks.token_sinks;"
        "sys.exit(any(name.split('.')[0] == 'cryptography' for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
