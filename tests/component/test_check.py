"""`leasekeeper check`: everything that can be wrong without asking Vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.checking import check
from leasekeeper.errors import ConfigError
from leasekeeper.settings.model import Settings
from leasekeeper.state.directory import StateDirectory


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


async def test_a_check_tells_of_every_file_and_directory_that_a_start_would_refuse(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    in_the_way = f"{tmp_path}/file/below"
    settings = Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": f"{tmp_path}/out", "template": "x"}],
            "state": {"path": f"{in_the_way}/state", "encryption": {"none": True}},
            "shared": {"directory": f"{in_the_way}/shared"},
            "lifecycle": {"pid_file": f"{in_the_way}/pid"},
            "log": {"file": f"{in_the_way}/logs/"},
        }
    )

    with pytest.raises(ConfigError) as caught:
        await check(settings)

    state, shared, pid, log = caught.value.problems
    assert f"making the state directory {in_the_way}/state" in state
    assert f"looking for the leader in {in_the_way}/shared" in shared
    assert f"writing the process id to {in_the_way}/pid" in pid
    assert f"writing the log to {in_the_way}/logs/leasekeeper.log" in log


async def test_a_check_of_all_places_leaves_no_trace_beside_a_process_that_uses_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "pid").write_text("4711")
    used = StateDirectory(f"{tmp_path}/state")
    used.take()
    before = sorted(tmp_path.rglob("*"))
    for state in ("state", "new/state"):
        settings = Settings.model_validate(
            {
                "auth": {"method": "approle", "role_id": "r"},
                "outputs": [{"destination": f"{tmp_path}/out", "template": "x"}],
                "state": {"path": f"{tmp_path}/{state}", "encryption": {"none": True}},
                "shared": {"directory": f"{tmp_path}/new/shared"},
                "lifecycle": {"pid_file": f"{tmp_path}/pid"},
                "log": {"file": f"{tmp_path}/logs/"},
            }
        )
        await check(settings)
    used.release()

    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "pid").read_text() == "4711"
