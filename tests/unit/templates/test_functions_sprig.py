"""sprig's functions whose answers cannot be recorded: chance, keys, certificates, the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.errors import TemplateRenderError
from leasekeeper.templates.functions import functions
from leasekeeper.templates.functions.network_interfaces import interface_addresses
from leasekeeper.templates.functions.sprig_certificates import (
    Certificate,
    gen_ca,
    gen_ca_with_key,
    gen_private_key,
    gen_self_signed,
    gen_signed,
)
from leasekeeper.templates.functions.sprig_crypto import _crypt, bcrypt, decrypt_aes, encrypt_aes
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template


def _render(expression: str, environ: Mapping[str, str] | None = None) -> str:
    template = Template.compile(f"{{{{ {expression} }}}}", name="t", functions=functions())
    rendered = template.render(RenderContext(secret=lambda _request: None, environ=environ or {}))
    assert rendered.text is not None
    return rendered.text


# --- chance -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("sprig_uuidv4", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("sprig_randAlphaNum 12", "[a-zA-Z0-9]{12}"),
        ("sprig_randAlpha 5", "[a-zA-Z]{5}"),
        ("sprig_randNumeric 5", "[0-9]{5}"),
        ("sprig_randAscii 9", "[ -~]{9}"),
        ("sprig_randBytes 6", "[A-Za-z0-9+/]{8}"),
        ("sprig_randInt 3 5", "[34]"),
        ('sprig_shuffle "aab"', "(?=.*b)[ab]{3}"),
        ("sprig_ago (sprig_now)", "0s"),
        ("timestamp", "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
        ('timestamp "unix"', "[0-9]{10}"),
    ],
)
def test_random_and_current_values_have_their_shape(expression: str, shape: str) -> None:
    assert re.fullmatch(shape, _render(expression))


@pytest.mark.parametrize(
    "expression", ["sprig_randInt 3 3", "sprig_randAlpha 99999999", "sprig_randBytes -1"]
)
def test_chance_out_of_bounds_is_an_error(expression: str) -> None:
    with pytest.raises(TemplateRenderError):
        _render(expression)


@pytest.mark.parametrize(
    "expression", ['sprig_repeat 99999999 "abcdefgh"', "sprig_until 99999999", "sprig_seq 99999999"]
)
def test_a_slip_of_the_pen_does_not_take_the_memory_of_the_task(expression: str) -> None:
    with pytest.raises(TemplateRenderError):
        _render(expression)


# --- passwords --------------------------------------------------------------------------------


def test_a_bcrypt_hash_verifies_its_password_and_no_other() -> None:
    hashed = bcrypt("secret")

    setting = hashed.replace("$2a$", "$2b$", 1)
    assert hashed.startswith("$2a$10$")
    assert _crypt(b"secret", setting) == setting
    assert _crypt(b"other", setting) != setting


def test_htpasswd_refuses_a_user_with_a_colon() -> None:
    assert _render('sprig_htpasswd "a:b" "x"') == "invalid username: a:b"


def test_a_password_that_bcrypt_would_cut_is_refused() -> None:
    assert "exceeds 72 bytes" in bcrypt("x" * 73)


@settings(max_examples=50)
@given(st.text(max_size=40), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_aes_decrypts_what_it_encrypted(password: str, text: str) -> None:
    assert decrypt_aes(password, encrypt_aes(password, text)) == text


@pytest.mark.parametrize("text", ["AAAA", "not base64!"])
def test_what_was_not_encrypted_is_not_decrypted(text: str) -> None:
    with pytest.raises(GoError):
        decrypt_aes("password", text)


# --- keys and certificates ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return gen_ca("authority", 10)


@pytest.mark.parametrize(
    ("kind", "header"),
    [("ecdsa", "EC PRIVATE KEY"), ("ed25519", "PRIVATE KEY")],
)
def test_private_keys_come_in_the_pem_of_their_kind(kind: str, header: str) -> None:
    pem = gen_private_key(kind)

    assert pem.startswith(f"-----BEGIN {header}-----\n")
    load_pem_private_key(pem.encode(), None)


def test_an_unknown_kind_of_key_is_named() -> None:
    assert gen_private_key("ec25") == "Unknown type ec25"


def test_a_signed_certificate_is_issued_by_its_authority(authority: Certificate) -> None:
    signed = gen_signed("web", ["10.0.0.1", "::1"], ["web.example"], 5, authority)

    root, leaf = (x509.load_pem_x509_certificate(one.Cert.encode()) for one in (authority, signed))
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 5
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = load_pem_private_key(signed.Key.encode(), None)
    assert key.public_key() == leaf.public_key()


def test_a_given_key_is_used(authority: Certificate) -> None:
    pem = gen_private_key("ecdsa")

    made = gen_ca_with_key("mine", 1, pem)

    assert made.Key == pem
    x509.load_pem_x509_certificate(made.Cert.encode())
    assert pem not in repr(made)


@pytest.mark.parametrize(
    ("ips", "hosts", "message"),
    [
        (["no"], [], "error parsing ip: no"),
        ([1], [], "error parsing ip: 1 is not a string"),
        ([], [1], "error processing alternate dns name: 1 is not a string"),
    ],
)
def test_names_that_are_none_are_refused(
    ips: list[object], hosts: list[object], message: str
) -> None:
    with pytest.raises(GoError) as caught:
        gen_self_signed("web", ips, hosts, 1)

    assert str(caught.value) == message


def test_a_certificate_may_be_of_nobody() -> None:
    certificate = x509.load_pem_x509_certificate(gen_ca("", 1).Cert.encode())

    assert not list(certificate.subject)


@pytest.mark.parametrize(
    "expression",
    [
        'sprig_genCA (sprig_repeat 65 "a") 1',
        'sprig_genCAWithKey "a" 1 "no key"',
        'sprig_buildCustomCert "!" "!"',
        'sprig_buildCustomCert "YQ==" "YQ=="',
        'sprig_genCA "a" 99999999',
    ],
)
def test_what_is_no_key_or_certificate_is_an_error(expression: str) -> None:
    with pytest.raises(TemplateRenderError):
        _render(expression)


# --- the machine ------------------------------------------------------------------------------


def test_environment_variables_are_those_of_the_render() -> None:
    environ = {"A": "1", "B": "two"}

    assert _render('sprig_env "A"', environ) == "1"
    assert _render('sprig_expandenv "$A-${B}-$C-${}-$."', environ) == "1-two---$."


def test_host_names_are_not_looked_up() -> None:
    with pytest.raises(TemplateRenderError, match="host names are not looked up"):
        _render('sprig_getHostByName "localhost"')


_LOOPBACK = (
    r'sockaddr "GetAllInterfaces | include \"name\" \"^lo$\" | include \"network\"'
    r' \"127.0.0.0/8\" | math \"%s\" \"%s\" | attr \"string\""'
)
_MATH = [
    ("address", "+5", "127.0.0.6/8"),
    ("Address", "-5", "126.255.255.252/8"),
    ("address", "+4294967295", "127.0.0.0/8"),
    ("network", "+5", "127.0.0.5/8"),
    ("network", "-1", "127.255.255.255/8"),
    ("network", "+16777217", "127.0.0.1/8"),
    ("mask", "16", "127.0.0.0/8"),
    ("mask", "4", "112.0.0.0/4"),
]


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        (r'sockaddr "GetInterfaceIP \"lo\""', ""),
        (r'sockaddr "GetAllInterfaces | include \"rfc\" \"1122\" | attr \"address\""', "127.0.0.1"),
        (
            r'sockaddr "GetAllInterfaces | include \"network\" \"127.0.0.0/8\" | attr \"size\""',
            "16777216",
        ),
        (
            (
                r'sockaddr "GetAllInterfaces | exclude \"flags\" \"loopback\"'
                r' | include \"name\" \"^lo$\""'
            ),
            "[]",
        ),
        (
            (
                r'sockaddr "GetAllInterfaces | include \"type\" \"IPv4\"'
                r' | sort \"-address\" | limit 0"'
            ),
            "[]",
        ),
        *((_LOOPBACK % (operation, value), printed) for operation, value, printed in _MATH),
    ],
)
def test_sockaddr_finds_addresses_of_this_machine(expression: str, printed: str) -> None:
    assert _render(expression) == printed


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nope", 'sockaddr.Parse:1: function "nope" not defined'),
        (r"GetAllInterfaces | attr \"bad\"", 'unsupported attribute name "bad"'),
        (r"GetAllInterfaces | include \"bad\" \"x\"", 'invalid include selector "bad"'),
        (r"GetAllInterfaces | include \"rfc\" \"1\"", "unsupported RFC 1"),
        (r"GetAllInterfaces | sort \"bad\"", 'unknown sort type: "bad"'),
        (r"GetAllInterfaces | include \"network\" \"x\"", "unable to create an IP address"),
        (r"GetAllInterfaces | include \"size\" \"x\"", 'invalid exclude size argument ("x")'),
        (r"GetAllInterfaces | include \"name\" \"(\"", "Unable to compile name regexp"),
        (r"GetAllInterfaces | math \"network\" \"5\"", "sign (+/-) is required"),
        (r"GetAllInterfaces | math \"address\" \"+x\"", 'unable to convert "+x" to int'),
        (r"GetAllInterfaces | math \"mask\" \"200\"", "addresses must be between 0 and"),
        (r"GetAllInterfaces | math \"bad\" \"+1\"", 'unsupported math operation: "bad"'),
        ("GetAllInterfaces | offset 9999", "unable to seek past the end"),
    ],
)
def test_a_sockaddr_expression_that_makes_no_sense_says_why(expression: str, message: str) -> None:
    with pytest.raises(TemplateRenderError) as caught:
        _render(f'sockaddr "{expression}"')

    assert message in caught.value.message


def test_the_loopback_interface_has_its_address_and_flags() -> None:
    loopback = [one for one in interface_addresses() if str(one.address) == "127.0.0.1/8"]

    assert [one.name for one in loopback] == ["lo"]
    assert {"up", "loopback"} <= set(loopback[0].flags)
