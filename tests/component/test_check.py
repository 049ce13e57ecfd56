"""`leasekeeper check`: everything that can be wrong without asking Vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.agent import check
from leasekeeper.errors import ConfigError
from leasekeeper.settings.model import Settings


async def test_a_check_tells_of_templates_tls_files_and_destinations_at_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    settings = Settings.model_validate(
        {
            "vault": {"address": "https://vault.example.com:8200", "ca_file": "/no/such.pem"},
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": f"{tmp_path}/file/out", "template": "{{ nope }}"}],
        }
    )

    with pytest.raises(ConfigError) as caught:
        await check(settings)

    template, tls, destination = caught.value.problems
    assert 'function "nope" not defined' in template
    assert "vault.ca_file" in tls
    assert f"{tmp_path}/file" in destination


async def test_a_check_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    settings = Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [
                {"destination": f"{tmp_path}/there/out", "template": "x"},
                {"destination": f"{tmp_path}/a/b/c/out", "template": "x"},
            ],
        }
    )

    await check(settings)

    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    assert list((tmp_path / "there").iterdir()) == []
