"""aiohttp is imported without the system's certificates, and nothing comes to trust strangers."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

from leasekeeper.runtime.http import tls_for
from tests.fakes.authority import Authority

PROGRAM = """
import ssl
from leasekeeper.runtime.http import import_aiohttp
import_aiohttp()
import aiohttp.connector
unused = aiohttp.connector._SSL_CONTEXT_VERIFIED
assert unused.verify_mode is ssl.CERT_REQUIRED and unused.check_hostname
print(*(len(each.get_ca_certs()) for each in (unused, ssl.create_default_context())))
"""


def test_only_a_request_without_a_context_of_its_own_trusts_nobody(tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": str(Authority(tmp_path).file), "PATH": os.environ["PATH"]}

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, env=environ
    )

    assert ran.stdout.split() == ["0", "1"]


def test_https_gets_a_context_that_checks_certificates() -> None:
    context = tls_for("HTTPS://app.example.com/reload")

    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert tls_for("http://127.0.0.1/reload") is True
