"""sprig's functions that make keys and certificates.

They make new ones in every render, so an output that uses them changes whenever it is rendered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    PrivateKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leasekeeper.templates.functions.encodings import decode_base64
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.values import GoStruct, encode

functions = FunctionTable()

_LIST = "[]interface {}"
_KEY_BITS = 2048
_STANDALONE_KEY_BITS = 4096


@dataclass(frozen=True, slots=True)
class Certificate(GoStruct):
    """A certificate and its private key, both in PEM."""

    go_type = "sprig.certificate"
    go_fields: ClassVar[Mapping[str, str]] = {"Cert": "string", "Key": "string"}

    Cert: str
    Key: str = field(repr=False)


@functions.add("sprig_genPrivateKey", "string")
def gen_private_key(kind: str) -> str:
    """Return a new private key: rsa, ecdsa, ed25519 or dsa."""
    if kind in {"", "rsa"}:
        return _pem(rsa.generate_private_key(65537, _STANDALONE_KEY_BITS))
    if kind == "ecdsa":
        return _pem(ec.generate_private_key(ec.SECP256R1()))
    if kind == "ed25519":
        return _pem(ed25519.Ed25519PrivateKey.generate())
    if kind == "dsa":
        return _pem(dsa.generate_private_key(2048))
    return f"Unknown type {kind}"


def _pem(key: PrivateKeyTypes) -> str:
    modern = isinstance(key, ed25519.Ed25519PrivateKey)
    form = PrivateFormat.PKCS8 if modern else PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, _KEY_BITS)


def _load_key(pem: str, doing: str) -> CertificateIssuerPrivateKeyTypes:
    if "-----BEGIN" not in pem:
        msg = f"{doing}: no PEM data in input"
        raise GoError(msg)
    try:
        key = load_pem_private_key(encode(pem), None)
    except (ValueError, TypeError):
        msg = f"{doing}: no private key in PEM"
        raise GoError(msg) from None
    if not isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    ):
        msg = f"{doing}: cannot sign with this kind of key"
        raise GoError(msg)
    return key


def _load_certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(encode(pem))
    except ValueError:
        msg = "unable to decode certificate"
        raise GoError(msg) from None


@functions.add("sprig_buildCustomCert", "string", "string")
def build_custom_cert(cert: str, key: str) -> Certificate:
    """Return a certificate and a key that are given in base64 of PEM."""
    texts = []
    for what, text in (("certificate", cert), ("private key", key)):
        try:
            texts.append(decode_base64(text))
        except GoError:
            msg = f"unable to decode base64 {what}"
            raise GoError(msg) from None
    _load_certificate(texts[0])
    _load_key(texts[1], "error parsing private key")
    return Certificate(*texts)


# --- making certificates ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What a certificate says."""

    name: str
    days: int
    addresses: list[Any] = field(default_factory=list)
    hosts: list[Any] = field(default_factory=list)
    authority: bool = False

    def alternatives(self) -> list[x509.GeneralName]:
        """Return the other names.

        :raises GoError: if one of them is none.
        """
        return [_host(host) for host in self.hosts] + [_address(one) for one in self.addresses]


def _host(value: Any) -> x509.DNSName:
    if type(value) is not str:
        msg = f"error processing alternate dns name: {sprint(value)} is not a string"
        raise GoError(msg)
    try:
        return x509.DNSName(value)
    except ValueError:
        msg = f"error processing alternate dns name: {value}"
        raise GoError(msg) from None


def _address(value: Any) -> x509.IPAddress:
    if type(value) is not str:
        msg = f"error parsing ip: {sprint(value)} is not a string"
        raise GoError(msg)
    try:
        return x509.IPAddress(ipaddress.ip_address(value))
    except ValueError:
        msg = f"error parsing ip: {value}"
        raise GoError(msg) from None


def _issue(
    subject: _Subject,
    key: CertificateIssuerPrivateKeyTypes,
    issuer: Certificate | None = None,
) -> Certificate:
    """Return a certificate for *key*, signed by *issuer* or by itself."""
    name = _common_name(subject.name)
    if issuer is None:
        issuer_name, signing_key = name, key
    else:
        issuer_name = _load_certificate(issuer.Cert).subject
        signing_key = _load_key(issuer.Key, "error parsing private key")
    now = datetime.now(UTC)
    try:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=subject.days))
        )
    except (ValueError, OverflowError):
        msg = f"error creating certificate: it cannot be valid for {subject.days} days"
        raise GoError(msg) from None
    algorithm = None if isinstance(signing_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = _extended(builder, subject, key, signing_key).sign(signing_key, algorithm)
    return Certificate(certificate.public_bytes(Encoding.PEM).decode(), _pem(key))


def _common_name(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    except ValueError:
        msg = "error creating certificate: a common name has at most 64 characters"
        raise GoError(msg) from None


def _extended(
    builder: x509.CertificateBuilder,
    subject: _Subject,
    key: CertificateIssuerPrivateKeyTypes,
    signing_key: CertificateIssuerPrivateKeyTypes,
) -> x509.CertificateBuilder:
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        builder.add_extension(_key_usage(sign=subject.authority), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.BasicConstraints(subject.authority, None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    if subject.authority:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if names := subject.alternatives():
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@functions.add("sprig_genCA", "string", "int")
def gen_ca(name: str, days: int) -> Certificate:
    """Return a new certificate authority."""
    return _issue(_Subject(name=name, days=days, authority=True), _new_key())


@functions.add("sprig_genCAWithKey", "string", "int", "string")
def gen_ca_with_key(name: str, days: int, pem: str) -> Certificate:
    """Return a certificate authority that uses the key *pem*."""
    key = _load_key(pem, "parsing private key")
    return _issue(_Subject(name=name, days=days, authority=True), key)


@functions.add("sprig_genSelfSignedCert", "string", _LIST, _LIST, "int")
def gen_self_signed(name: str, ips: list[Any], hosts: list[Any], days: int) -> Certificate:
    """Return a new certificate that signs itself."""
    return _issue(_Subject(name=name, days=days, addresses=ips, hosts=hosts), _new_key())


@functions.add("sprig_genSelfSignedCertWithKey", "string", _LIST, _LIST, "int", "string")
def gen_self_signed_with_key(
    name: str, ips: list[Any], hosts: list[Any], days: int, pem: str
) -> Certificate:
    """Return a certificate that signs itself with the key *pem*."""
    key = _load_key(pem, "parsing private key")
    return _issue(_Subject(name=name, days=days, addresses=ips, hosts=hosts), key)


@functions.add("sprig_genSignedCert", "string", _LIST, _LIST, "int", Certificate)
def gen_signed(
    name: str, ips: list[Any], hosts: list[Any], days: int, authority: Certificate
) -> Certificate:
    """Return a new certificate that *authority* signs."""
    subject = _Subject(name=name, days=days, addresses=ips, hosts=hosts)
    return _issue(subject, _new_key(), authority)


@functions.add("sprig_genSignedCertWithKey", "string", _LIST, _LIST, "int", Certificate, "string")
def gen_signed_with_key(
    name: str, ips: list[Any], hosts: list[Any], days: int, authority: Certificate, pem: str
) -> Certificate:
    """Return a certificate for the key *pem* that *authority* signs."""
    key = _load_key(pem, "parsing private key")
    return _issue(_Subject(name=name, days=days, addresses=ips, hosts=hosts), key, authority)
