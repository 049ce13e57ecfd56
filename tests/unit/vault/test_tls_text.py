"""Certificate authorities that are given as text."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault.tls import tls_context
from tests.fakes.authority import Authority

CANARY = "s3cr3t-canary"


def test_authorities_in_the_settings_are_trusted_instead_of_the_systems(tmp_path: Path) -> None:
    pem = Authority(tmp_path).file.read_text(encoding="ascii")
    context = tls_context(VaultSection(ca_pem=pem))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("pem", [CANARY, f"{CANARY} é", "-----BEGIN CERTIFICATE-----\nAA=="])
def test_what_is_no_certificate_ends_the_start_without_being_shown(pem: str) -> None:
    with pytest.raises(ConfigError, match=r"vault.ca_pem: the text cannot be used") as raised:
        tls_context(VaultSection(ca_pem=pem))

    assert CANARY not in str(raised.value)
