"""The examples in config/ can be started from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leasekeeper.settings import keys
from leasekeeper.settings.loading import load_settings
from leasekeeper.settings.model import AppRoleAuth, AwsIamAuth, Settings

EXAMPLES = Path(__file__).parents[3] / "config"


def load(name: str) -> Settings:
    return load_settings(config_file=str(EXAMPLES / name), environ={}, overrides={}).settings


def test_every_example_is_tested_here() -> None:
    assert {file.name for file in EXAMPLES.glob("*.yaml")} == {
        "approle.yaml",
        "exec.yaml",
        "full.yaml",
        "group.yaml",
        "kv-dotenv.yaml",
        "local-world.yaml",
        "minimal.yaml",
        "pki.yaml",
        "shared-volume.yaml",
        "state-kms.yaml",
        "static-role.yaml",
    }


def test_minimal_is_the_tutorials_application() -> None:
    settings = load("minimal.yaml")

    assert isinstance(settings.auth, AwsIamAuth)
    assert settings.outputs[0].destination == "/config/conf.json"
    assert '{{- with secret "database/creds/product" }}' in (settings.outputs[0].template or "")


def test_full_has_every_key() -> None:
    load("full.yaml")
    text = (EXAMPLES / "full.yaml").read_text()
    names = {str(path[-1]) for path, _ in keys.walk(keys.root()) if path[-1] != 0}

    missing = {name for name in names if not re.search(rf"^[ #-]*{name}:", text, re.MULTILINE)}
    assert missing == set()


def test_approle_reads_its_ids_from_files() -> None:
    auth = load("approle.yaml").auth

    assert isinstance(auth, AppRoleAuth)
    assert (auth.role_id_file, auth.secret_id) == ("/run/leasekeeper/role-id", None)


def test_group_holds_all_its_outputs() -> None:
    settings = load("group.yaml")

    assert all(settings.groups[0].holds(output.destination) for output in settings.outputs)


def test_shared_volume_publishes_through_a_link() -> None:
    settings = load("shared-volume.yaml")

    assert settings.shared.directory == "/config/.leasekeeper"
    assert settings.groups[0].holds(settings.outputs[0].destination)


def test_kv_dotenv_needs_no_template() -> None:
    settings = load("kv-dotenv.yaml")

    assert (settings.outputs[0].secret, settings.outputs[0].format) == (
        "secret/data/product",
        "dotenv",
    )
    assert settings.secrets.overrides["secret/data/product"].static_secret_render_interval == 60


def test_pki_asks_for_one_certificate_in_both_files() -> None:
    requests = [
        re.findall(r"secret .*?(?= -)", output.template or "")
        for output in load("pki.yaml").outputs
    ]

    assert len(requests[0]) == 1
    assert requests[0] == requests[1]


def test_static_role_tells_the_application_with_a_command() -> None:
    (output,) = load("static-role.yaml").outputs

    assert (output.user, output.group) == (1000, 1000)
    assert output.notify is not None
    assert output.notify.command is not None


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.yaml")))
def test_no_example_holds_a_secret(name: str) -> None:
    assert "secret_id: " not in re.sub(r"# secret_id: only in.*", "", (EXAMPLES / name).read_text())


def test_state_is_encrypted_by_kms() -> None:
    encryption = load("state-kms.yaml").state.encryption

    assert encryption is not None
    assert encryption.kms_key_id == "alias/leasekeeper"
