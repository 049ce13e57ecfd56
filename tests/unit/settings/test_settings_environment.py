"""Every key has a variable, Vault's own variables count, and a misspelt one is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_settings
from leasekeeper.settings.model import AppRoleAuth, AwsIamAuth

TEXT = """\
vault: {address: "https://file:8200", namespace: file}
auth: {method: aws_iam, role: web}
outputs:
  - {destination: /config/a, template: x}
  - {destination: /config/b, template: y}
"""


def load(**environ: str) -> LoadedSettings:
    environ = {"LEASEKEEPER_CONFIG": TEXT} | environ
    return load_settings(config_file=None, environ=environ, overrides={})


def told(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(**environ)
    return list(caught.value.problems)


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{TEXT}log: {{level: debug, format: json}}\nprobe: {{interval: 1m}}\n")

    loaded = load_settings(
        config_file=str(file),
        environ={"LEASEKEEPER_LOG__LEVEL": "warning", "LEASEKEEPER_LOG__FORMAT": "console"},
        overrides={"log.level": "error", "log.format": None},
    )

    assert loaded.settings.log.level == "error"
    assert loaded.settings.log.format == "console"
    assert loaded.settings.probe.interval == 60
    assert loaded.settings.secrets.overlap == 30
    assert loaded.source(("log", "level")) == "command line"
    assert loaded.source(("log", "format")) == "environment LEASEKEEPER_LOG__FORMAT"
    assert loaded.source(("probe", "interval")) == f"{file}:7"
    assert loaded.source(("secrets", "overlap")) == "default"


def test_a_variable_reaches_into_lists_and_new_sections() -> None:
    outputs = load(
        LEASEKEEPER_OUTPUTS__1__MODE="0600",
        LEASEKEEPER_OUTPUTS__0__NOTIFY__HTTP__URL="http://127.0.0.1/reload",
        LEASEKEEPER_OUTPUTS__0__VALIDATE="json",
    ).settings.outputs

    assert outputs[1].mode == 0o600
    assert outputs[0].validate_as == "json"
    assert outputs[0].notify is not None
    assert outputs[0].notify.http is not None
    assert outputs[0].notify.http.url == "http://127.0.0.1/reload"


def test_the_index_after_the_last_adds_an_output() -> None:
    outputs = load(
        LEASEKEEPER_OUTPUTS__2__DESTINATION="/config/c", LEASEKEEPER_OUTPUTS__2__TEMPLATE="z"
    ).settings.outputs

    assert [output.destination for output in outputs] == ["/config/a", "/config/b", "/config/c"]


def test_indexes_are_numbers_not_words() -> None:
    added = {f"LEASEKEEPER_OUTPUTS__{n}__DESTINATION": f"/config/{n}" for n in range(2, 12)}
    added |= {f"LEASEKEEPER_OUTPUTS__{n}__TEMPLATE": "x" for n in range(2, 12)}

    assert load(**added).settings.outputs[11].destination == "/config/11"


def test_an_index_cannot_leave_a_gap() -> None:
    assert told(LEASEKEEPER_OUTPUTS__5__MODE="0600") == [
        (
            "environment LEASEKEEPER_OUTPUTS__5__MODE: outputs[5].mode: outputs has 2 items,"
            " so the next index is 2"
        )
    ]


def test_lists_tables_and_sections_are_json_and_narrow_variables_come_on_top() -> None:
    settings = load(
        LEASEKEEPER_OUTPUTS__0__MODE="0604",
        LEASEKEEPER_OUTPUTS='[{"destination": "/x", "secret": "a/b", "format": "json"}]',
        LEASEKEEPER_SECRETS__OVERRIDES='{"a/b": {"static_secret_render_interval": "1m"}}',
        LEASEKEEPER_AUTH='{"method": "approle", "role_id": "r"}',
    ).settings

    (output,) = settings.outputs
    assert (output.destination, output.mode) == ("/x", 0o604)
    assert settings.secrets.overrides["a/b"].static_secret_render_interval == 60
    assert isinstance(settings.auth, AppRoleAuth)


@pytest.mark.parametrize("value", ["a b", "[1", '{"a": 1}}', "[" * 100_000, "1" * 5000 + "x"])
def test_what_should_be_json_and_is_not_is_told(value: str) -> None:
    (problem,) = told(LEASEKEEPER_OUTPUTS__0__VALIDATE_COMMAND=value)

    assert problem.startswith(
        "environment LEASEKEEPER_OUTPUTS__0__VALIDATE_COMMAND: outputs[0].validate_command: needs"
    )


def test_json_cannot_be_nested_without_end() -> None:
    (problem,) = told(LEASEKEEPER_VAULT="[" * 50 + "]" * 50)

    assert problem == "environment LEASEKEEPER_VAULT: vault: is nested too deeply"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("LEASEKEEPER_WEB__LISTN", "is not a setting; did you mean LEASEKEEPER_WEB__LISTEN?"),
        ("LEASEKEEPER_WEB_LISTEN", "is not a setting; did you mean LEASEKEEPER_WEB__LISTEN?"),
        ("LEASEKEEPER_web__listen", "is not a setting; did you mean LEASEKEEPER_WEB__LISTEN?"),
        ("LEASEKEEPER_CONFIGS", "is not a setting; did you mean LEASEKEEPER_CONFIG?"),
        (
            "LEASEKEEPER_OUTPUTS__1__MOOD",
            "is not a setting; did you mean LEASEKEEPER_OUTPUTS__1__MODE?",
        ),
        ("LEASEKEEPER_XYZZY", "is not a setting"),
        ("LEASEKEEPER_", "is not a setting"),
        (
            "LEASEKEEPER_SECRETS__OVERRIDES__A",
            "is not a setting; set LEASEKEEPER_SECRETS__OVERRIDES to JSON instead",
        ),
        (f"LEASEKEEPER_OUTPUTS__{'9' * 5000}__MODE", "is not a setting"),
    ],
)
def test_an_unknown_variable_is_an_error(name: str, advice: str) -> None:
    (problem,) = told(**{name: "s3cret"})

    assert problem.endswith(f": {advice}")
    assert problem.startswith(f"environment {name[:60]}")


def test_unknown_variables_are_told_although_the_text_cannot_be_read() -> None:
    assert len(told(LEASEKEEPER_CONFIG="a: [", LEASEKEEPER_X="1", LEASEKEEPER_Y="2")) == 3


def test_an_empty_variable_is_an_unset_variable() -> None:
    settings = load(VAULT_ADDR="", LEASEKEEPER_WEB__LISTEN="", LEASEKEEPER_XYZZY="").settings

    assert settings.vault.address == "https://file:8200"
    assert settings.web.listen == "127.0.0.1:8210"


def test_the_server_can_be_switched_off_by_a_variable() -> None:
    assert load(LEASEKEEPER_WEB__LISTEN="off").settings.web.listen == ""


def test_vaults_own_variables_set_the_vault_section() -> None:
    vault = load(
        VAULT_ADDR="https://env:8200",
        VAULT_NAMESPACE="admin/",
        VAULT_CACERT="/ca.pem",
        VAULT_CAPATH="/cas",
        VAULT_CLIENT_CERT="/c.pem",
        VAULT_CLIENT_KEY="/k.pem",
        VAULT_SKIP_VERIFY="1",
        VAULT_TLS_SERVER_NAME="vault",
        VAULT_CLIENT_TIMEOUT="45",
    ).settings.vault

    assert vault.address == "https://env:8200"
    assert vault.namespace == "admin"
    assert (vault.ca_file, vault.ca_path) == ("/ca.pem", "/cas")
    assert (vault.client_cert_file, vault.client_key_file) == ("/c.pem", "/k.pem")
    assert vault.tls_skip_verify is True
    assert vault.tls_server_name == "vault"
    assert vault.timeout == 45


@pytest.mark.parametrize(("text", "rate", "burst"), [("10", 10, 0), ("2.5:40", 2.5, 40)])
def test_vaults_rate_limit_may_bring_a_burst(text: str, rate: float, burst: int) -> None:
    vault = load(VAULT_RATE_LIMIT=text).settings.vault

    assert (vault.rate_limit, vault.rate_burst) == (rate, burst)


@pytest.mark.parametrize("text", ["fast", "5:", "5:many", ":5", "-1"])
def test_a_rate_limit_that_is_none_is_told_with_its_variable(text: str) -> None:
    assert any("environment VAULT_RATE_LIMIT" in line for line in told(VAULT_RATE_LIMIT=text))


def test_ours_win_over_openbaos_over_vaults() -> None:
    names = {"VAULT_ADDR": "http://v", "BAO_ADDR": "http://b"}

    assert load(**names).settings.vault.address == "http://b"
    assert load(**names, LEASEKEEPER_VAULT__ADDRESS="http://l").settings.vault.address == "http://l"


def test_a_timeout_with_a_unit_is_fine_too() -> None:
    assert load(VAULT_CLIENT_TIMEOUT="1m30s").settings.vault.timeout == 90


def test_a_bad_value_is_told_with_its_variable() -> None:
    assert told(VAULT_ADDR="vault:8200", LEASEKEEPER_PROBE__INTERVAL="30") == [
        (
            "environment VAULT_ADDR: vault.address: needs a scheme and a host,"
            ' such as "https://vault.example.com:8200"'
        ),
        (
            "environment LEASEKEEPER_PROBE__INTERVAL: probe.interval: a duration needs a unit,"
            ' such as "90s", "5m", "1h30m" or "2d"'
        ),
    ]


def test_a_value_that_is_not_utf_8_is_told_by_its_name_alone() -> None:
    assert told(LEASEKEEPER_AUTH__ROLE="caf\udce9", VAULT_NAMESPACE="\udcff") == [
        "environment LEASEKEEPER_AUTH__ROLE: the value is not UTF-8",
        "environment VAULT_NAMESPACE: the value is not UTF-8",
    ]


@pytest.mark.parametrize("value", ['{"role": "\\ud800"}', '{"\\ud800": 1}', '["\\udfff"]'])
def test_a_lone_surrogate_in_json_is_refused(value: str) -> None:
    (problem,) = told(LEASEKEEPER_VAULT=value)

    assert problem == "environment LEASEKEEPER_VAULT: vault: is not valid Unicode text"


def test_everything_can_come_from_variables() -> None:
    loaded = load_settings(
        config_file=None,
        environ={
            "LEASEKEEPER_AUTH__METHOD": "aws_iam",
            "LEASEKEEPER_AUTH__ROLE": "web",
            "LEASEKEEPER_OUTPUTS__0__DESTINATION": "/a",
            "LEASEKEEPER_OUTPUTS__0__TEMPLATE": "x",
        },
        overrides={},
    )

    assert isinstance(loaded.settings.auth, AwsIamAuth)
    assert loaded.settings.outputs[0].destination == "/a"


@pytest.mark.parametrize("environ", [{}, {"VAULT_ADDR": "http://v"}, {"HOME": "/root"}])
def test_no_configuration_at_all_is_told_with_the_ways_to_give_one(
    environ: dict[str, str],
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=None, environ=environ, overrides={"log.level": "info"})

    (problem,) = caught.value.problems
    assert problem.startswith("command line: there is no configuration; name a file with --config")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("log.levl", "x", 'command line: log.levl: unknown key; did you mean "level"?'),
        ("log.level", "x", "command line: log.level: needs one of"),
        ("outputs[9].mode", "0600", "command line: outputs[9].mode: outputs has 2 items, so the"),
        ("log.level.x", "x", "command line: log.level.x: unknown key"),
        ("", "x", "command line: unknown key"),
        ("vault", ["a"], "command line: vault: needs keys and values"),
    ],
)
def test_a_bad_override_is_told(key: str, value: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(
            config_file=None, environ={"LEASEKEEPER_CONFIG": TEXT}, overrides={key: value}
        )

    (only,) = caught.value.problems
    assert only.startswith(problem)


def test_an_override_changes_one_key_and_not_what_the_caller_passed() -> None:
    passed: dict[str, object] = {
        "vault": {"address": "http://a"},
        "vault.namespace": "n",
        "secrets.overrides[a/b.c].static_secret_render_interval": "1m",
        "outputs.1.mode": "0600",
    }
    settings = load_settings(
        config_file=None, environ={"LEASEKEEPER_CONFIG": TEXT}, overrides=passed
    ).settings

    assert (settings.vault.address, settings.vault.namespace) == ("http://a", "n")
    assert list(settings.secrets.overrides) == ["a/b.c"]
    assert settings.outputs[1].mode == 0o600
    assert passed["vault"] == {"address": "http://a"}
