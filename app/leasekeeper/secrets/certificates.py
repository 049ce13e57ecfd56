"""Certificates of the last run, read back from the files that they were written to.

`pkiCert` has an output be its own memory, as in Vault Agent: a certificate that is still good is
not made anew by a restart. Here it also has to fit: its key is beside it, and it has the names that
the template asks for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from leasekeeper.errors import AgentError
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.mounts import Mounts
from leasekeeper.secrets.lifetime import CERTIFICATE_AT
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.saved import SavedSecret
from leasekeeper.secrets.snapshot import SecretKind
from leasekeeper.vault.response import JsonNumber, VaultResponse

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_DEADLINE_S = 5.0
# No file of certificates is larger, and what is larger is not read.
_MAX_BYTES = 1 << 20
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


async def certificates_on_disk(
    places: Iterable[tuple[SecretRequest, str]],
) -> dict[SecretRequest, SavedSecret]:
    """Return what the files of *places* still hold for their requests.

    A file that is not there, that hangs or that holds something else is left alone.
    """
    found: dict[SecretRequest, SavedSecret] = {}
    workers, mounts = FileWorkers(), Mounts.current()
    try:
        for request, path in places:
            with contextlib.suppress(OSError, AgentError, TimeoutError):
                text = await workers.run(mounts.of(path), _read, path, deadline_s=_DEADLINE_S)
                if (saved := kept_certificate(request, text, wall=time())) is not None:
                    found[request] = saved
    finally:
        await workers.close()
    return found


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        return file.read(_MAX_BYTES).decode("utf-8", "replace")


def kept_certificate(request: SecretRequest, text: str, *, wall: float) -> SavedSecret | None:
    """Return the certificate in *text* as an answer to *request*, if it is one at time *wall*."""
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(text)]
    keys = [pem for label, pem in blocks if label.endswith("PRIVATE KEY")]
    if not keys:
        return None
    from cryptography import x509

    try:
        found = [
            (x509.load_pem_x509_certificate(pem.encode()), pem)
            for label, pem in blocks
            if label == "CERTIFICATE"
        ]
        leaf, pem = next(pair for pair in found if not _is_authority(pair[0]))
        if not _fits(leaf, keys[-1], dict(request.arguments)):
            return None
    except (ValueError, TypeError, StopIteration):  # another kind of file, or a damaged one
        return None
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    replaced_at = begins + (ends - begins) * CERTIFICATE_AT
    if not begins <= wall < replaced_at:
        return None
    chain = list(dict.fromkeys(text for each, text in found if _is_authority(each)))
    data: dict[str, Any] = {
        "certificate": pem,
        "private_key": keys[-1],
        "expiration": JsonNumber(int(ends)),
        "serial_number": leaf.serial_number.to_bytes(20, "big").lstrip(b"\0").hex(":"),
    }
    if chain:
        data |= {"issuing_ca": chain[0], "ca_chain": chain}
    return SavedSecret(
        request=request,
        kind=SecretKind.CERTIFICATE,
        response=VaultResponse(data=data),
        increment_s=ends - begins,
        of_token=False,
        expires_wall=ends,
        fetch_wall=replaced_at,
        mature_wall=replaced_at,
    )


def _is_authority(certificate: Certificate) -> bool:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return extension.value.ca


def _fits(leaf: Certificate, key: str, wanted: dict[str, str]) -> bool:
    """Whether *key* is that of *leaf*, which has all the names that are *wanted*."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    public = load_pem_private_key(key.encode(), None).public_key()
    names = _names(leaf)
    asked = [wanted.get("common_name", ""), *wanted.get("alt_names", "").split(",")]
    asked += wanted.get("ip_sans", "").split(",")
    stripped = {name.strip().lower() for name in asked} - {""}
    return public == leaf.public_key() and stripped <= names


def _names(leaf: Certificate) -> set[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = {str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    with contextlib.suppress(x509.ExtensionNotFound):
        others = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names |= {str(each.value) for each in others}
    return {name.lower() for name in names}
