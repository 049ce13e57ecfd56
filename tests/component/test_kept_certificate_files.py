"""Certificates of the last run are read from real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from leasekeeper.secrets.certificates import certificates_on_disk
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.functions.sprig_certificates import gen_self_signed

WEB = gen_self_signed("web", [], [], 10)
REQUEST = SecretRequest.write("pki/issue/web", {"common_name": "web"})


async def test_files_that_cannot_be_read_are_left_alone(tmp_path: Path) -> None:
    good, binary = tmp_path / "good", tmp_path / "binary"
    good.write_text(WEB.Cert + WEB.Key, encoding="utf-8")
    binary.write_bytes(b"\xff" * 100)
    places = [
        (replace(REQUEST, path="gone"), str(tmp_path / "gone")),
        (replace(REQUEST, path="folder"), str(tmp_path)),
        (replace(REQUEST, path="binary"), str(binary)),
        (REQUEST, str(good)),
    ]

    assert list(await certificates_on_disk(places)) == [REQUEST]
