"""A certificate that an output still holds is the answer of the last run, if it fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from leasekeeper.secrets.certificates import kept_certificate
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.saved import SavedSecret
from leasekeeper.templates.functions.sprig_certificates import gen_ca, gen_signed

CA = gen_ca("ca", 100)
WEB = gen_signed("web.example.com", ["10.0.0.1"], ["www.example.com"], 10, CA)
OTHER = gen_signed("web.example.com", [], [], 10, CA)
NAMES = {"common_name": "Web.example.com", "alt_names": "www.example.com", "ip_sans": "10.0.0.1"}
REQUEST = SecretRequest.write("pki/issue/web", {**NAMES, "ttl": "240h"})
NOW = datetime.now(UTC)


def _kept(
    text: str, request: SecretRequest = REQUEST, *, after: timedelta = timedelta()
) -> SavedSecret | None:
    return kept_certificate(request, text, wall=(NOW + after).timestamp() + 1)


def test_certificate_key_and_authorities_are_read_back_as_they_were_written() -> None:
    saved = _kept(f"# mine\n{WEB.Cert}{CA.Cert}{WEB.Key}{CA.Cert}# end\n")

    assert saved is not None
    data = saved.response.data
    assert data is not None
    assert (data["certificate"], data["private_key"]) == (WEB.Cert.strip(), WEB.Key.strip())
    assert data["issuing_ca"] == CA.Cert.strip()
    assert data["ca_chain"] == [CA.Cert.strip()]
    serial = x509.load_pem_x509_certificate(WEB.Cert.encode()).serial_number
    assert int(data["serial_number"].replace(":", ""), 16) == serial
    assert saved.expires_wall - saved.fetch_wall == pytest.approx(86400, abs=5)
    assert WEB.Key.strip() not in repr(saved)


def test_without_its_authority_a_certificate_is_good_as_well() -> None:
    saved = _kept(WEB.Key + WEB.Cert)

    assert saved is not None
    assert "ca_chain" not in (saved.response.data or {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing is there"),
        (WEB.Cert, "the key is elsewhere"),
        (WEB.Key, "the certificate is elsewhere"),
        (CA.Cert + CA.Key, "an authority is not what was asked for"),
        (WEB.Cert + OTHER.Key, "the key is another's"),
        (WEB.Cert.replace("A", "B") + WEB.Key, "it is damaged"),
        (WEB.Cert + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no key"),
        (OTHER.Cert + OTHER.Key, "names are missing"),
    ],
)
def test_what_does_not_fit_is_made_anew(text: str, reason: str) -> None:
    assert _kept(text) is None, reason


def test_other_arguments_want_another_certificate() -> None:
    request = SecretRequest.write("pki/issue/web", {"common_name": "api.example.com"})

    assert _kept(WEB.Cert + WEB.Key, request) is None


@pytest.mark.parametrize("after", [timedelta(days=-1), timedelta(days=9, minutes=1)])
def test_a_certificate_that_is_due_for_a_new_one_is_not_read_back(after: timedelta) -> None:
    assert _kept(WEB.Cert + WEB.Key, after=after) is None
