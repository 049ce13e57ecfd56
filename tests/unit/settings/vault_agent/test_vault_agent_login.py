"""`vault` and `auto_auth`: how to log in."""

from __future__ import annotations

from typing import Any

import pytest

from leasekeeper.settings.model import (
    AppRoleAuth,
    AwsEc2Auth,
    AwsIamAuth,
    CertAuth,
    JwtAuth,
    KubernetesAuth,
    LdapAuth,
    TokenFileAuth,
)
from tests.unit.settings.vault_agent.agent_files import GOOD, TEMPLATE, load, problems


def auth(method: str, config: str, *, inner: str = "", **given: Any) -> Any:
    text = f'auto_auth {{ method "{method}" {{ {inner}\n config = {{ {config} }} }} }}\n{TEMPLATE}'
    return load(text, **given).settings.auth


def faults(method: str, config: str, *, inner: str = "") -> list[str]:
    text = f'auto_auth {{ method "{method}" {{ {inner}\n config = {{ {config} }} }} }}\n{TEMPLATE}'
    return problems(text)


def test_vault_is_mapped() -> None:
    text = """vault {
        address = "https://vault:8200"
        namespace = "admin/team/"
        ca_cert = "/ca.pem"
        ca_path = "/ca"
        client_cert = "/cert.pem"
        client_key = "/key.pem"
        tls_skip_verify = "1"
        tls_server_name = "vault.example"
        retry { num_retries = 5 }
    }
    template_config { max_connections_per_host = 20 }
    """
    vault = load(GOOD + text).settings.vault

    assert vault.model_dump(exclude={"timeout", "ca_pem", "rate_limit", "rate_burst"}) == {
        "address": "https://vault:8200",
        "namespace": "admin/team",
        "ca_file": "/ca.pem",
        "ca_path": "/ca",
        "client_cert_file": "/cert.pem",
        "client_key_file": "/key.pem",
        "tls_server_name": "vault.example",
        "tls_skip_verify": True,
        "max_connections": 20,
    }


def test_the_environment_wins_over_the_file_and_flags_win_over_both() -> None:
    text = GOOD + 'vault { address = "https://file:1" }\nlog_level = "error"\n'
    environ = {"VAULT_ADDR": "https://vault:1", "VAULT_LOG_LEVEL": "WARN"}
    openbao = {**environ, "BAO_ADDR": "https://bao:1", "BAO_LOG_LEVEL": "debug"}

    assert load(text).settings.vault.address == "https://file:1"
    assert load(text, environ=environ).settings.vault.address == "https://vault:1"
    assert load(text, environ=openbao).settings.vault.address == "https://bao:1"
    assert load(text, environ=environ).settings.log.level == "warning"
    assert load(text, environ=openbao).settings.log.level == "debug"
    loaded = load(
        text,
        environ=openbao,
        overrides={"vault.address": "https://flag:1", "log.level": "trace"},
    )
    assert loaded.settings.vault.address == "https://flag:1"
    assert loaded.settings.log.level == "trace"


def test_our_own_variables_say_what_the_agent_has_no_words_for() -> None:
    environ = {
        "LEASEKEEPER_WEB__LISTEN": "off",
        "LEASEKEEPER_OUTPUTS__0__VALIDATE": "json",
        "LEASEKEEPER_LOG__LEVEL": "error",
        "VAULT_LOG_LEVEL": "debug",
    }
    settings = load(GOOD, environ=environ).settings

    assert settings.web.listen == ""
    assert settings.outputs[0].validate_as == "json"
    assert settings.log.level == "error"


def test_a_bad_variable_is_named() -> None:
    assert problems(GOOD, environ={"VAULT_LOG_FORMAT": "xml"}) == [
        'environment VAULT_LOG_FORMAT: log.format: needs "standard" or "json"'
    ]


def test_aws_iam_has_the_agents_region() -> None:
    """Vault Agent signs for us-east-1 unless it is told otherwise, whatever AWS_REGION says."""
    config = 'type = "iam", role = "web"'
    environ = {"AWS_REGION": "eu-west-1"}

    assert auth("aws", config) == AwsIamAuth(role="web", sts_region="us-east-1")
    assert auth("aws", config, environ=environ).sts_region == "us-east-1"
    region = 'region = "eu-central-1"'
    assert auth("aws", f"{config}, {region}", environ=environ).sts_region == "eu-central-1"
    assert auth("aws", f'{config}, region = ""', environ=environ).sts_region == "eu-west-1"
    assert auth("aws", f'{config}, region = ""').sts_region == "us-east-1"


def test_aws_iam_is_mapped() -> None:
    config = """
        type = "iam"
        role = "web"
        header_value = "vault.example"
        credential_poll_interval = 30
        access_key = "AKIA", secret_key = "s3cr3t", session_token = "t0k3n"
        nonce = "unused here"
    """
    inner = """
        mount_path = "auth/team/aws/"
        min_backoff = 2
        max_backoff = "1m30s"
        exit_on_err = true
    """
    assert auth("aws", config, inner=inner) == AwsIamAuth(
        role="web",
        mount="team/aws",
        server_id="vault.example",
        sts_region="us-east-1",
        access_key="AKIA",
        secret_key="s3cr3t",
        session_token="t0k3n",
        min_backoff="2s",
        max_backoff="90s",
        exit_on_err=True,
    )


def test_aws_ec2_is_mapped() -> None:
    config = 'type = "ec2", role = "web", nonce = "n", region = "eu-west-1", header_value = "x"'

    assert auth("aws", config) == AwsEc2Auth(role="web", nonce="n")


def test_approle_removes_the_secret_id_as_the_agent_does() -> None:
    config = 'role_id_file_path = "/role"'
    both = f'{config}, secret_id_file_path = "/secret"'

    assert auth("approle", config) == AppRoleAuth(role_id_file="/role")
    assert auth("approle", both) == AppRoleAuth(
        role_id_file="/role", secret_id_file="/secret", remove_secret_id_file_after_reading=True
    )
    kept = f'{both}, remove_secret_id_file_after_reading = "false"'
    assert auth("approle", kept) == AppRoleAuth(role_id_file="/role", secret_id_file="/secret")
    wrapped = f'{both}, secret_id_response_wrapping_path = "auth/approle/role/web/secret-id"'
    assert auth("approle", wrapped).secret_id_response_wrapping_path


def test_approle_without_secret_id_ignores_what_is_about_it() -> None:
    config = """
        role_id_file_path = "/role"
        secret_id_file_path = ""
        remove_secret_id_file_after_reading = true
        secret_id_response_wrapping_path = "x"
    """
    assert auth("approle", config) == AppRoleAuth(role_id_file="/role")


@pytest.mark.parametrize(
    ("method", "config", "expected"),
    [
        (
            "jwt",
            'path = "/jwt", role = "web"',
            JwtAuth(path="/jwt", role="web", remove_jwt_after_reading=True),
        ),
        (
            "jwt",
            'path = "/jwt", role = "web", remove_jwt_after_reading = false, jwt_read_period = 1',
            JwtAuth(path="/jwt", role="web"),
        ),
        ("kubernetes", 'role = "web"', KubernetesAuth(role="web")),
        (
            "kubernetes",
            'role = "web", token_path = "/token"',
            KubernetesAuth(role="web", token_path="/token"),
        ),
        ("cert", "", CertAuth()),
        (
            "cert",
            'name = "web", ca_cert = "/ca", client_cert = "/c", client_key = "/k", reload = false',
            CertAuth(name="web", ca_cert="/ca", client_cert="/c", client_key="/k", reload=False),
        ),
        (
            "ldap",
            'username = "web", password_file_path = "/password"',
            LdapAuth(
                username="web", password_file_path="/password", remove_password_after_reading=True
            ),
        ),
        ("token_file", 'token_file_path = "/token"', TokenFileAuth(token_file="/token")),
    ],
)
def test_other_methods_are_mapped(method: str, config: str, expected: object) -> None:
    assert auth(method, config) == expected


def test_cert_needs_no_config() -> None:
    text = 'auto_auth { method "cert" { mount_path = "auth/tls" } }\n' + TEMPLATE

    assert load(text).settings.auth == CertAuth(mount="tls")


def test_the_type_may_be_a_key_and_config_may_be_in_pieces() -> None:
    text = (
        """auto_auth {
        method {
            config { role_id_file_path = "/other" }
            type = "approle"
            config = { "ROLE_ID_FILE_PATH" = "/role" }
        }
    }
    """
        + TEMPLATE
    )

    assert load(text).settings.auth == AppRoleAuth(role_id_file="/role")


def test_the_methods_namespace_is_everybodys_unless_vault_has_one() -> None:
    config = 'type = "iam", role = "web"'
    text = f'auto_auth {{ method "aws" {{ namespace = "/team/" config {{ {config} }} }} }}\n'
    other = 'vault { namespace = "admin" }\n'

    alone, overruled = load(text + TEMPLATE), load(text + other + TEMPLATE)

    assert alone.settings.vault.namespace == "team"
    assert alone.settings.auth.namespace is None
    assert alone.warnings == ()
    assert overruled.settings.vault.namespace == "admin"
    assert overruled.warnings == (
        "agent.hcl:1: auto_auth.method.namespace: has no effect, because vault.namespace is given",
    )
    environ = {"VAULT_NAMESPACE": "env"}
    assert load(text + TEMPLATE, environ=environ).settings.vault.namespace == "env"


def test_a_long_first_pause_has_the_agents_longest_one() -> None:
    config = 'type = "iam", role = "web"'

    assert auth("aws", config).max_backoff == 60
    assert auth("aws", config, inner='min_backoff = "2m"').max_backoff == 300
    assert "auth handler: min_backoff cannot be greater than max_backoff" in str(
        faults("aws", config, inner='min_backoff = "6m"')
    )
    assert faults("aws", config, inner="min_backoff = 2\n max_backoff = 1") == [
        "agent.hcl:1: auth handler: min_backoff cannot be greater than max_backoff",
    ]


@pytest.mark.parametrize(
    ("method", "config", "words"),
    [
        ("aws", 'type = "iam"', "auto_auth.method.config.role: is needed"),
        ("aws", 'role = "x"', "missing 'type' value"),
        ("aws", 'role = "x", type = "s3cr3t"', "'type' value is invalid"),
        ("approle", "", "missing 'role_id_file_path' value"),
        ("token_file", "", "auto_auth.method.config.token_file_path: is needed"),
        ("gcp", 'type = "gce"', '"gcp" is not supported'),
        ("kerberos", "", '"kerberos" is not supported'),
        ("s3cr3t", "", "unknown auth method"),
    ],
)
def test_what_a_method_lacks_is_one_problem(method: str, config: str, words: str) -> None:
    found = faults(method, config)

    assert len(found) == 1
    assert words in found[0]
    assert "s3cr3t" not in found[0]


def test_a_method_without_config_says_so() -> None:
    text = 'auto_auth {\n  method "aws" {}\n}\n' + TEMPLATE

    (found,) = problems(text)

    assert found.startswith("agent.hcl:2: auto_auth.method: empty config data")


def test_no_secret_is_in_settings_or_problems() -> None:
    config = 'type = "iam", role = "web", secret_key = "s3cr3t", access_key = "a"'

    assert "s3cr3t" not in repr(auth("aws", config))
    assert "s3cr3t" not in str(faults("aws", f"{config}, rol = 1"))
