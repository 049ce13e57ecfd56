"""The tutorial image's environment is a configuration: only the image has to change."""

from __future__ import annotations

import base64

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_settings
from leasekeeper.settings.model import AppRoleAuth, AwsIamAuth

TEMPLATE = '{"user": "{{ with secret "database/creds/product" }}{{ .Data.username }}{{ end }}"}\n'
TUTORIAL = {
    "VAULT_ADDR": "https://vault.example.com:8200",
    "VAULT_NAMESPACE": "admin",
    "VAULT_ROLE": "learn-product-api",
    "TARGET_FILE_NAME": "conf.json",
    "VAULT_AGENT_TEMPLATE": base64.b64encode(TEMPLATE.encode()).decode(),
    "VAULT_AGENT_EXIT_AFTER_AUTH": "false",
}


def load(**changed: str) -> LoadedSettings:
    return load_settings(config_file=None, environ=TUTORIAL | changed, overrides={})


def told(**changed: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(**changed)
    return list(caught.value.problems)


def test_the_tutorials_task_definition_is_understood_as_it_is() -> None:
    loaded = load()
    settings = loaded.settings

    assert settings.vault.address == "https://vault.example.com:8200"
    assert settings.vault.namespace == "admin"
    assert isinstance(settings.auth, AwsIamAuth)
    assert settings.auth.role == "learn-product-api"
    (output,) = settings.outputs
    assert (output.destination, output.template) == ("/config/conf.json", TEMPLATE)
    assert (output.mode, output.error_on_missing_key) == (0o644, True)
    assert settings.lifecycle.exit_after_auth is False
    assert loaded.ignored == ()
    assert loaded.source(("auth", "role")) == "environment VAULT_ROLE"


def test_unless_told_otherwise_it_publishes_once_as_that_image_does() -> None:
    loaded = load(VAULT_AGENT_EXIT_AFTER_AUTH="")

    assert loaded.settings.lifecycle.exit_after_auth is True
    assert loaded.source(("lifecycle", "exit_after_auth")) == (
        "environment contract, VAULT_AGENT_EXIT_AFTER_AUTH not set"
    )


def test_the_template_may_be_folded_into_lines() -> None:
    folded = base64.encodebytes(TEMPLATE.encode() * 3).decode()

    assert load(VAULT_AGENT_TEMPLATE=folded).settings.outputs[0].template == TEMPLATE * 3


def test_our_variables_add_what_the_contract_cannot_say() -> None:
    settings = load(
        LEASEKEEPER_OUTPUT_DIR="/efs/secrets/",
        LEASEKEEPER_OUTPUTS__0__MODE="0600",
        LEASEKEEPER_AUTH__SERVER_ID="vault.example.com",
        LEASEKEEPER_LIFECYCLE__EXIT_AFTER_AUTH="true",
    ).settings

    assert settings.outputs[0].destination == "/efs/secrets/conf.json"
    assert settings.outputs[0].mode == 0o600
    assert isinstance(settings.auth, AwsIamAuth)
    assert settings.auth.server_id == "vault.example.com"
    assert settings.lifecycle.exit_after_auth is True


def test_our_variables_can_replace_its_parts() -> None:
    settings = load(
        VAULT_ROLE="",
        VAULT_AGENT_TEMPLATE="",
        LEASEKEEPER_AUTH__METHOD="approle",
        LEASEKEEPER_AUTH__ROLE_ID="r",
        LEASEKEEPER_OUTPUTS__0__SECRET="secret/data/a",
        LEASEKEEPER_OUTPUTS__0__FORMAT="json",
    ).settings

    assert isinstance(settings.auth, AppRoleAuth)
    assert settings.outputs[0].secret == "secret/data/a"


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("VAULT_ADDR", "environment VAULT_ADDR: vault.address: is needed"),
        ("VAULT_ROLE", "environment VAULT_ROLE: auth.role: is needed"),
        ("TARGET_FILE_NAME", "environment TARGET_FILE_NAME: outputs[0].destination: is needed"),
        (
            "VAULT_AGENT_TEMPLATE",
            "environment VAULT_AGENT_TEMPLATE: outputs[0].template: is needed",
        ),
    ],
)
def test_a_missing_variable_is_told_by_its_name(missing: str, problem: str) -> None:
    assert told(**{missing: ""}) == [problem]


def test_all_missing_variables_are_told_at_once() -> None:
    assert len(told(VAULT_ADDR="", VAULT_ROLE="", TARGET_FILE_NAME="")) == 3


@pytest.mark.parametrize(
    "name", ["../conf.json", "/etc/passwd", "a/../../b", "..", ".", "a/", "a//b", "./a", "a/./b"]
)
def test_the_target_cannot_leave_its_directory(name: str) -> None:
    assert told(TARGET_FILE_NAME=name) == [
        (
            "environment TARGET_FILE_NAME: outputs[0].destination: needs the name of a file"
            " below LEASEKEEPER_OUTPUT_DIR, without `..`"
        )
    ]


def test_the_target_may_be_in_a_folder_below() -> None:
    assert load(TARGET_FILE_NAME="api/c.json").settings.outputs[0].destination == (
        "/config/api/c.json"
    )


def test_the_output_directory_is_absolute() -> None:
    assert told(LEASEKEEPER_OUTPUT_DIR="config") == [
        "environment LEASEKEEPER_OUTPUT_DIR: needs an absolute path"
    ]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ('{{ with secret "a" }}', "is not valid base64; encode it with `base64 -w0`"),
        (base64.b64encode(b"\xff").decode(), "is not UTF-8 in line 1; save it as UTF-8"),
        ("caf\udce9", "the value is not UTF-8"),
    ],
)
def test_a_template_that_cannot_be_decoded_is_told(template: str, problem: str) -> None:
    assert told(VAULT_AGENT_TEMPLATE=template)[0].endswith(problem)


def test_with_a_configuration_its_variables_are_ignored_and_named() -> None:
    text = "auth: {method: approle, role_id: r}\noutputs: [{destination: /a, template: x}]\n"
    loaded = load(LEASEKEEPER_CONFIG=text)

    assert loaded.settings.vault.address == TUTORIAL["VAULT_ADDR"]
    assert loaded.settings.lifecycle.exit_after_auth is False
    assert loaded.ignored == (
        "VAULT_ROLE",
        "VAULT_AGENT_TEMPLATE",
        "TARGET_FILE_NAME",
        "VAULT_AGENT_EXIT_AFTER_AUTH",
    )
